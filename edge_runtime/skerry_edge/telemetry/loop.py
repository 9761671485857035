"""The loop that watches a node's signals: looks every ten seconds, tells every minute or so, of overruns at once."""

import threading
from collections.abc import Callable, Mapping
from datetime import timedelta

import structlog

from skerry_core.batch.flags import Flags
from skerry_core.errors import SkerryError
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.telemetry.bodies import overrun_record, summary_record
from skerry_edge.telemetry.incidents import Begun, Ended, incidents
from skerry_edge.telemetry.measures import Measures, Snapshot
from skerry_edge.telemetry.pace import SHORTEST
from skerry_edge.telemetry.recorder import Recorder, Told, at_start
from skerry_edge.telemetry.summary import summarize

LOOK = timedelta(seconds=10)
# While the log takes nothing, so many beginnings and ends are remembered; then nothing more is looked at.
_MAX_EVENTS = 64

_log = structlog.get_logger(__name__)


class TelemetryLoop:
    """`processes` read each process's figures, and raise SkerryError while one doesn't answer."""

    def __init__(
        self,
        recorder: Recorder,
        processes: Mapping[str, Callable[[], Measures]],
        time: NodeTime,
        uptime: Callable[[], int],
        boot: str,
    ) -> None:
        """`uptime` gives ms since the boot whose name is `boot`. `tell_seconds` may be set at any time."""
        self._recorder = recorder
        self._processes = processes
        self._time = time
        self._uptime = uptime
        self._boot = boot
        self.tell_seconds = SHORTEST
        self._events: tuple[Begun | Ended, ...] = ()
        self._lock = threading.Lock()
        first = Snapshot(time.read().received, uptime(), boot, {})
        self._told = recorder.told or at_start(first)
        self._last = self._told.snapshot
        self._incidents = self._told.incidents
        self._blank = recorder.forgotten

    def step(self) -> timedelta:
        """Look once, and tell if it's time to. Raises OSError and SkerryError; what isn't told yet is told later."""
        with self._lock:
            self._step(last=False)
        return LOOK

    def close(self) -> None:
        """Tell of the time since the last summary, if that can be done now."""
        with self._lock:
            try:
                self._step(last=True)
            except (OSError, SkerryError) as error:
                _log.warning("last telemetry not recorded", reason=getattr(error, "reason", "DiskFault"))

    def _step(self, *, last: bool) -> None:
        try:
            self._recorder.land()
        except SkerryError:
            # The log takes nothing: that may well be an overrun, so it's looked at all the same.
            self._look()
            raise
        now, flags = self._look()
        since = now.seconds_since(self._told.snapshot)
        if last or self._events or since is None or since >= self.tell_seconds:
            self._tell(now, flags)

    def _look(self) -> tuple[Snapshot, Flags]:
        reading = self._time.read()
        found = {}
        for name, read in self._processes.items():
            try:
                found[name] = read()
            except SkerryError as error:
                _log.debug("process not measured", process=name, reason=error.reason)
        now = Snapshot(reading.received, self._uptime(), self._boot, found)
        if self._blank:
            # What was counted before is told or lost: nobody knows, so it isn't told again.
            self._told, self._last, self._blank = Told(0, now, self._incidents), now, False
        if len(self._events) < _MAX_EVENTS:
            carried = now.carrying(self._last)
            self._incidents, events = incidents(self._incidents, self._last, carried)
            self._events += events
            self._last = carried
        return now, Flags.CLOCK_SUSPECT if reading.suspect else Flags.NONE

    def _tell(self, now: Snapshot, flags: Flags) -> None:
        summary = summarize(self._told.snapshot, now, self._told.number + 1)
        records = [summary_record(summary, flags), *(overrun_record(each, now.wall, flags) for each in self._events)]
        told = Told(summary.window.number, now.carrying(self._told.snapshot), self._incidents)
        try:
            self._recorder.record(told, records)
        finally:
            if self._recorder.told is told:
                self._told, self._events = told, ()
