"""Passes over the store: every stream's new batches into its table, its gaps followed, its table looked after."""

import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from skerry_core import backoff
from skerry_core.batch.contents import LogName
from skerry_core.errors import SkerryError
from skerry_operator.ingest import upkeep
from skerry_operator.ingest.config import IngestConfig
from skerry_operator.ingest.gap_record import GapRecord
from skerry_operator.ingest.gaps import Gap, GapState, Note
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.ledger import Ledger
from skerry_operator.ingest.listing import SITES, Listing, read_listing
from skerry_operator.ingest.metrics import Metrics
from skerry_operator.ingest.plan import Listed
from skerry_operator.ingest.step import Outcome, step
from skerry_operator.ingest.streams import admitted
from skerry_operator.ingest.table import CommitConflictError, LakeTable, absent_table, gaps_table, stream_table
from skerry_operator.ingest.workers import Workers

_log = structlog.get_logger()
# Tables that sites may make by naming streams: one that invents names can't fill the lake with them.
MAX_STREAMS = 256
_NAMED = 5
_MAX_CONFLICTS = 12
_LONGEST_RETRY = timedelta(seconds=8)
_COMPACT_EVERY = timedelta(minutes=10)
_EXPIRE_EVERY = timedelta(hours=6)


@dataclass(frozen=True)
class _Settled:
    """Batches that are in whole, and what the table had then.

    As long as no others are listed, the table needn't be read again.
    """

    keys: frozenset[str]
    ledgers: Mapping[LogName, Ledger]


class Ingester:
    """One of the ingesters that may work on a lake, side by side without knowing of each other."""

    def __init__(
        self,
        lake: Lake,
        config: IngestConfig,
        workers: Workers,
        metrics: Metrics,
        now: Callable[[], datetime],
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._lake = lake
        self._config = config
        self._workers = workers
        self._metrics = metrics
        self._now = now
        self._sleep = sleep
        self._tables: dict[str, LakeTable] = {}
        self._named: frozenset[str] = frozenset()
        self._absent = absent_table(lake, config.log_retention)
        self._gaps = GapRecord(lake, gaps_table(lake, config.log_retention), config.patience)
        self._compacted = now()
        self._expired: datetime | None = None
        self._settled: dict[str, _Settled] = {}

    def run_once(self) -> bool:
        """Look through the store once and take what is there; True if every stream went well.

        Raises the store's errors if it can't be listed. A stream that fails delays no other.
        """
        listing = read_listing(self._lake.store.list(SITES))
        self._metrics.listed(listing.strangers)
        streams = self._admitted(listing)
        failed = set()
        for stream in streams:
            try:
                self._take(stream, listing)
            except SkerryError as error:
                failed.add(stream)
                self._metrics.failed(stream, error.reason)
                _log.warning(
                    "a stream couldn't be ingested now", stream=stream, reason=error.reason, message=str(error)
                )
            except Exception:  # noqa: BLE001 - a fault of ours that one site's bytes meet must not stop all streams
                failed.add(stream)
                self._tables.pop(stream, None)
                self._metrics.failed(stream, "Unexpected")
                _log.exception("a stream failed unexpectedly", stream=stream)
        if failed:
            self._gaps.forget()
        for stream in failed:
            self._settled.pop(stream, None)
        self._count_gaps()
        self._look_after(listing, [stream for stream in streams if stream not in failed])
        self._metrics.passed(self._now())
        return not failed

    def _admitted(self, listing: Listing) -> list[str]:
        if not listing.batches.keys() | listing.requests.keys() <= self._named:
            self._named = frozenset(self._lake.names())
        # Our own tables are named as no stream may be.
        tables = [name for name in self._named if not name.startswith("_")]
        streams = admitted(listing.batches, listing.requests, tables, MAX_STREAMS)
        if waiting := sorted(listing.batches.keys() - set(streams)):
            _log.error(
                "there are more streams than tables allowed: the new ones of the fewest sites wait",
                waiting=len(waiting),
                first=waiting[:_NAMED],
            )
        return streams

    def _take(self, stream: str, listing: Listing) -> None:
        """Commit until nothing listed is left."""
        listed = listing.batches.get(stream, [])
        keys = frozenset(batch.key for batch in listed)
        settled = self._settled.get(stream)
        if settled is not None and settled.keys >= keys:
            self._gaps.follow(stream, settled.ledgers, listing.requests.get(stream, []), self._now())
            return
        table = self._table(stream)
        given_up = self._gaps.given_up(stream)
        conflicts = 0
        while True:
            now = self._now()
            try:
                done = step(self._lake, table, self._absent, self._workers, listed, given_up, self._config.budget, now)
            except CommitConflictError:
                conflicts += 1
                self._metrics.conflicted(stream)
                if conflicts > _MAX_CONFLICTS:
                    raise
                wait = backoff.delay(conflicts, random.random(), _LONGEST_RETRY)  # noqa: S311 - no secret
                self._sleep(wait.total_seconds())
                continue
            conflicts = 0
            self._metrics.took(stream, done, self._now())
            self._note(done, now)
            if not done.taken and not done.damaged:
                break
            if done.taken:
                rows = sum(each.rows for each in done.taken)
                _log.info("ingested", stream=stream, batches=len(done.taken), events=rows, left=done.left)
            # Moved away, or gone since it was listed: not to be planned again from this listing.
            gone = {each.batch.key for each in done.damaged}
            listed = [batch for batch in listed if batch.key not in gone]
        self._settled[stream] = _settled(listed, done.ledgers)
        self._gaps.follow(stream, done.ledgers, listing.requests.get(stream, []), self._now())

    def _note(self, done: Outcome, now: datetime) -> None:
        notes = [(Note(Gap(close.log, close.gap), GapState.CLOSED), "too many gaps are open") for close in done.closes]
        for each in done.damaged:
            assert each.batch.span is not None
            gap = Gap(each.batch.log, each.batch.span)
            notes.append((Note(gap, GapState.DAMAGED), each.reason))
        self._gaps.note(notes, now)

    def _look_after(self, listing: Listing, streams: list[str]) -> None:
        now = self._now()
        compacting = now - self._compacted >= _COMPACT_EVERY
        expiring = self._expired is None or now - self._expired >= _EXPIRE_EVERY
        if not compacting and not expiring:
            return
        self._compacted = now
        self._expired = now if expiring else self._expired
        tables = {stream: self._table(stream) for stream in streams}
        tables |= {table.name: table for table in (self._absent, self._gaps.table)}
        for stream, table in tables.items():
            try:
                self._look_after_table(table, stream, listing, expiring=expiring)
            except SkerryError as error:
                self._metrics.failed(stream, error.reason)
                _log.warning("a table couldn't be looked after", table=stream, reason=error.reason, message=str(error))

    def _look_after_table(self, table: LakeTable, stream: str, listing: Listing, *, expiring: bool) -> None:
        upkeep.compact(self._lake, table)
        now = self._now()
        deleted = upkeep.delete_batches(
            self._lake.store, table, listing.batches.get(stream, []), self._config.keep_batches, now
        )
        self._metrics.deleted(stream, deleted)
        if expiring:
            # What our own tables say of gaps and absences is state, not a stream's rows.
            keep = None if stream.startswith("_") else self._config.retention.of(stream)
            if keep is not None:
                upkeep.expire(self._lake, table, keep, now)
            upkeep.vacuum(self._lake, table, self._config.keep_versions)

    def _count_gaps(self) -> None:
        states = Counter(
            (gap.log.stream, str(GapState.LOST if known.lost else GapState.OPEN))
            for gap, known in self._gaps.open_gaps().items()
        )
        self._metrics.gaps(states.items())

    def _table(self, stream: str) -> LakeTable:
        if stream not in self._tables:
            self._tables[stream] = stream_table(self._lake, stream, self._config.log_retention)
        return self._tables[stream]


def _settled(listed: Iterable[Listed], ledgers: Mapping[LogName, Ledger]) -> _Settled:
    def is_in(batch: Listed) -> bool:
        return batch.span is None or not ledgers.get(batch.log, Ledger()).missing(batch.span)

    return _Settled(frozenset(batch.key for batch in listed if is_in(batch)), ledgers)
