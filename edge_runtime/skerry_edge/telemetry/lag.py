"""Ingestion lag: from an event's time until it was durable on the node, and until it was in the store."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from prometheus_client import CollectorRegistry

from skerry_core.batch.flags import Flags
from skerry_edge.events.log import StreamLog
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import ColumnBatch, NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.telemetry.duration import DurationHistogram
from skerry_edge.telemetry.sketch import bounds

# Of a record with one of these, the time of the event and that of the node don't belong together.
_UNTOLD = int(Flags.TIME_MISSING | Flags.TIME_SKEWED | Flags.CLOCK_SUSPECT)
_MICROSECONDS = 1e6


class DurableLag:
    """From the event to the disk; kept by the process that takes events in."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = DurationHistogram(
            "skerry_events_lag_seconds",
            "From an event's time until it was durable here; events whose time can't be trusted don't count.",
            ("stream",),
            bounds(-3, 4, 2),
            registry,
        )

    def durable(self, stream: str, records: Sequence[NewRecord], now: int) -> None:
        """Records of a stream are durable since `now`, in µs since 1970."""
        times = np.fromiter((record.time for record in records), np.int64, len(records))
        flags = np.fromiter((record.flags for record in records), np.int64, len(records))
        self._lag.observe((stream,), (now - times[(flags & _UNTOLD) == 0]) / _MICROSECONDS)


class MeasuredLog:
    """A stream's log that tells the lag of what is appended to it."""

    def __init__(self, log: StreamLog, lag: DurableLag, clock: Callable[[], int]) -> None:
        self._log = log
        self._lag = lag
        self._clock = clock

    @property
    def epoch(self) -> str:
        """The log's."""
        return self._log.epoch

    def append(self, records: Sequence[NewRecord]) -> range:
        """Append as the log does; raises what it raises."""
        seqs = self._log.append(records)
        self._lag.durable(self._log.name, records, self._clock())
        return seqs


class MeasuredLogs:
    """A process's logs, each measured from when it's opened through this."""

    def __init__(
        self, logs: EventLogs, registry: CollectorRegistry, clock: Callable[[], int] = lambda: time.time_ns() // 1000
    ) -> None:
        """`clock` gives µs since 1970."""
        self._logs = logs
        self._lag = DurableLag(registry)
        self._clock = clock

    def open(self, settings: StreamSettings) -> MeasuredLog:
        """Open a log as `EventLogs` does; raises what it raises."""
        return MeasuredLog(self._logs.open(settings), self._lag, self._clock)

    def directory(self, stream: str) -> Path:
        """Where a stream's log is."""
        return self._logs.directory(stream)


class StoredLag:
    """From the event to the store; kept by the process that uploads."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._lag = DurationHistogram(
            "skerry_sync_lag_seconds",
            "From an event's time until the store had it; events whose time can't be trusted don't count.",
            ("tier",),
            bounds(-1, 6, 2),
            registry,
        )

    def stored(self, tier: str, batches: Sequence[ColumnBatch], now: int) -> None:
        """Records of a tier are in the store since `now`, in µs since 1970."""
        for batch in batches:
            told = (batch.flags & _UNTOLD) == 0
            self._lag.observe((tier,), (now - batch.time[told]) / _MICROSECONDS)
