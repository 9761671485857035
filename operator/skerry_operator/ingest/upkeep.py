"""What tables need in quiet moments: small files put together, old rows and files removed, ingested batches deleted.

All of it is safe beside ingesters that append, and beside itself: deltalake refuses what conflicts, and the next quiet
moment tries again.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa
import structlog
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from skerry_core.batch.flags import Flags
from skerry_core.store.port import Store
from skerry_operator.ingest.lake import Lake, delta_errors
from skerry_operator.ingest.ledger import Ledger
from skerry_operator.ingest.plan import Listed
from skerry_operator.ingest.schema import PARTITION
from skerry_operator.ingest.table import LakeTable

_log = structlog.get_logger()
# So many small files of one day are worth a rewrite.
_MANY = 16
_SMALL_BYTES = 32 << 20
_TARGET_BYTES = 128 << 20


@dataclass(frozen=True, slots=True)
class Retention:
    """How long rows stay, by stream and for all others; None is for good."""

    default: timedelta | None = None
    streams: tuple[tuple[str, timedelta], ...] = ()

    def of(self, stream: str) -> timedelta | None:
        return dict(self.streams).get(stream, self.default)


def compact(lake: Lake, table: LakeTable) -> bool:
    """Rewrite a day's small files as few large ones, if there are many; False if nothing was to do."""
    with delta_errors(table.name):
        opened = lake.open(table.name)
        if opened is None:
            return False
        days = _crowded_days(opened)
        for day in days:
            filters = None if day is None else [(PARTITION, "=", day.isoformat())]
            try:
                opened.optimize.compact(partition_filters=filters, target_size=_TARGET_BYTES)
            except CommitFailedError as error:
                _log.info("a table's compaction lost a race and is tried again later", table=table.name, why=str(error))
                return False
        return bool(days)


def expire(lake: Lake, table: LakeTable, keep: timedelta, now: datetime) -> None:
    """Delete rows that came in at the node longer ago than `keep`, and those ingested longer ago whatever they say.

    By a node's clock that was known to be wrong nothing is deleted before that.
    """
    cutoff = now.astimezone(UTC) - keep
    with delta_errors(table.name):
        opened = lake.open(table.name)
        if opened is None:
            return
        files = _files(opened)
        try:
            if any(file["partition.day"] < cutoff.date() for file in files):
                opened.delete(f"{PARTITION} < '{cutoff.date().isoformat()}'")
            if any(_least_received(file) < cutoff for file in files if file["partition.day"] >= cutoff.date()):
                opened.delete(f"received < '{cutoff:%Y-%m-%dT%H:%M:%S.%fZ}' AND flags & {Flags.CLOCK_SUSPECT:d} = 0")
        except CommitFailedError as error:
            _log.info("a table's retention lost a race and is tried again later", table=table.name, why=str(error))


def vacuum(lake: Lake, table: LakeTable, older_than: timedelta) -> int:
    """Delete files that no version of the table within `older_than` names, aborted commits' too; how many."""
    with delta_errors(table.name):
        opened = lake.open(table.name)
        if opened is None:
            return 0
        hours = -(-older_than // timedelta(hours=1))
        return len(opened.vacuum(hours, dry_run=False, enforce_retention_duration=False, full=True))


def delete_batches(store: Store, table: LakeTable, listed: Iterable[Listed], keep: timedelta, now: datetime) -> int:
    """Delete batches that were already in the table `keep` ago; how many."""
    before = table.ledgers_at(now - keep)
    count = 0
    for batch in listed:
        if batch.span is None or not before.get(batch.log, Ledger()).missing(batch.span):
            store.delete(batch.key)
            count += 1
    return count


def _crowded_days(table: DeltaTable) -> list[date | None]:
    small = Counter(file.get("partition.day") for file in _files(table) if file["size_bytes"] < _SMALL_BYTES)
    return [day for day, count in small.items() if count >= _MANY]


def _files(table: DeltaTable) -> list[dict[str, Any]]:
    files: list[dict[str, Any]] = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    return files


def _least_received(file: dict[str, Any]) -> datetime:
    least: datetime | None = file.get("min.received")
    return least.astimezone(UTC) if least else datetime.min.replace(tzinfo=UTC)
