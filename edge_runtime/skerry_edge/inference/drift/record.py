"""What the node tells of drift: the stream `drift`, and its part of a model's report."""

import time

import msgspec
import structlog

from skerry_api.v1alpha1.drift import MAX_REPORTED, DriftedColumn, DriftReport, DriftState
from skerry_core.drift.judge import ColumnDrift
from skerry_core.drift.watch import Watch
from skerry_edge.events.bodies import DriftChange
from skerry_edge.events.log import StreamLog
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import LogFailedError, LogFullError
from skerry_edge.inference.activation.state import ModelKey

_log = structlog.get_logger(__name__)


def change_of(key: ModelKey, version: str, before: Watch, after: Watch) -> DriftChange | None:
    """The event of a window that was judged; None if the same columns drift as before."""
    if before.drifting == after.drifting:
        return None
    state = "Ended" if not after.drifting else "Changed" if before.drifting else "Started"
    worst = after.worst()
    return DriftChange(
        namespace=key.namespace,
        model=key.name,
        digest=after.digest,
        version=version,
        state=state,
        columns=after.drifting[:MAX_REPORTED],
        drifting=len(after.drifting),
        worst=worst.column if worst is not None else "",
        psi=worst.psi if worst is not None else None,
        limit=worst.limit if worst is not None else None,
        nulls=worst.nulls if worst is not None else None,
        rows=max((each.rows for each in after.last.columns), default=0),
    )


def report_of(watch: Watch) -> DriftReport:
    """A model's drift as its report tells it."""
    last = {each.column: each for each in watch.last.columns}
    columns = sorted(watch.drifting, key=lambda name: -_excess(last.get(name)))
    state = DriftState.DRIFTING if columns else DriftState.STABLE if watch.judged else DriftState.COLLECTING
    return DriftReport(
        state=state,
        digest=watch.digest,
        since=watch.since,
        windows=watch.judged,
        columns=tuple(_column(name, last.get(name)) for name in columns[:MAX_REPORTED]),
        drifting_columns=len(columns),
        nodes=int(bool(columns)),
    )


def _excess(column: ColumnDrift | None) -> float:
    return 0.0 if column is None else column.psi / column.limit


def _column(name: str, seen: ColumnDrift | None) -> DriftedColumn:
    if seen is None:
        return DriftedColumn(name=name)
    return DriftedColumn(name=name, psi=round(seen.psi, 4), limit=round(seen.limit, 4))


class DriftLog:
    """Records changes; a disk that refuses costs the record alone."""

    def __init__(self, log: StreamLog) -> None:
        self._log = log
        self._encoder = msgspec.json.Encoder()

    def changed(self, change: DriftChange) -> None:
        """Record that columns began or ceased to drift."""
        now = time.time_ns() // 1000
        try:
            self._log.append((NewRecord(self._encoder.encode(change), now, now),))
        except (LogFullError, LogFailedError) as error:
            _log.warning("drift not logged", model=f"{change.namespace}/{change.model}", error=str(error))
