"""One commit to a stream's table: plan on a snapshot, read batches, commit against that very snapshot."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
import structlog

from skerry_core.batch.contents import LogName
from skerry_core.store.errors import ObjectMissingError
from skerry_core.store.grant import MAX_UPLOAD_BYTES
from skerry_core.store.port import Store, read_object
from skerry_operator.ingest.data_file import DataFileWriter
from skerry_operator.ingest.gaps import Gap
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.ledger import Ledger, Span
from skerry_operator.ingest.listing import DAMAGED, request_key
from skerry_operator.ingest.part import Damaged, Part, PartResult, Taken, is_readable, parted
from skerry_operator.ingest.plan import Budget, Close, Listed, Plan, Take, plan
from skerry_operator.ingest.schema import ABSENT, MAX_COLUMNS, TableColumn
from skerry_operator.ingest.table import LakeTable, Snapshot
from skerry_operator.ingest.workers import Workers

_log = structlog.get_logger()
_NONE = Ledger()


@dataclass(frozen=True)
class Outcome:
    """What one step did; `ledgers` is what the table has after it."""

    ledgers: Mapping[LogName, Ledger]
    taken: Sequence[Taken] = ()
    damaged: Sequence[Damaged] = ()
    closes: Sequence[Close] = ()
    left: int = 0


def step(
    lake: Lake,
    table: LakeTable,
    absent: LakeTable,
    workers: Workers,
    listed: Iterable[Listed],
    given_up: Mapping[LogName, Iterable[Span]],
    budget: Budget,
    now: datetime,
) -> Outcome:
    """Take what fits into one commit. Raises CommitConflictError: nothing was done, try again.

    Killed anywhere, this leaves either the whole commit or none, and data files that no commit names at worst. What
    sites say has no row is recorded first, in a table and a commit of its own, whose ledger keeps it from being said
    twice.
    """
    snapshot = table.snapshot()
    work = plan(snapshot.ledgers, listed, budget.times(workers.shares()), given_up)
    if not work.takes:
        return Outcome(snapshot.ledgers, left=work.left)
    snapshot, results = _read(lake, table, snapshot, work, workers, now)
    taken = [each for result in results for each in result.taken]
    damaged = [each for result in results for each in result.damaged]
    changed = _after(snapshot.ledgers, taken, work)
    _record_absent(lake, absent, snapshot.ledgers, taken, now)
    table.commit(snapshot, [result.file for result in results if result.file], changed)
    for each in damaged:
        _set_aside(lake.store, each)
    return Outcome({**snapshot.ledgers, **changed}, taken, damaged, work.closes, work.left)


def _read(
    lake: Lake, table: LakeTable, snapshot: Snapshot, work: Plan, workers: Workers, now: datetime
) -> tuple[Snapshot, list[PartResult]]:
    """Have the batches read; columns that they bring are added first, and only their shares read again."""
    waiting: Sequence[tuple[Take, ...]] = parted(work.takes, workers.shares())
    done: list[PartResult] = []
    while True:
        parts = [Part(lake.uri, lake.access, table.folder, snapshot.columns, takes, now) for takes in waiting]
        results = workers.work(parts)
        done += [result for result in results if not result.wanted]
        waiting = [part.takes for part, result in zip(parts, results, strict=True) if result.wanted]
        if not waiting:
            return snapshot, done
        room = MAX_COLUMNS - len(snapshot.columns)
        wanted: dict[str, TableColumn] = {}
        for result in results:
            wanted |= {each.name: wanted.get(each.name, each) for each in result.wanted}
        snapshot = table.add_columns(snapshot, list(wanted.values())[:room])


def _after(ledgers: Mapping[LogName, Ledger], taken: Sequence[Taken], work: Plan) -> dict[LogName, Ledger]:
    spans: dict[LogName, list[Span]] = {}
    for each in taken:
        spans.setdefault(each.take.batch.log, []).extend(each.take.spans)
    for close in work.closes:
        spans.setdefault(close.log, []).append(close.gap)
    return {log: ledgers.get(log, _NONE).taken(each) for log, each in spans.items()}


def _record_absent(
    lake: Lake, absent: LakeTable, ledgers: Mapping[LogName, Ledger], taken: Sequence[Taken], now: datetime
) -> None:
    """Add what these batches say is absent to its table.

    Its ledger has a log's numbers as the stream's table has them, as of the last time that something was absent: all
    before it is settled, since nothing gets into the stream's table whose absences were not recorded first.
    """
    if not any(each.absent for each in taken):
        return
    snapshot = absent.snapshot()
    changed: dict[LogName, Ledger] = {}
    rows: list[dict[str, object]] = []
    for each in taken:
        if not each.absent:
            continue
        log = each.take.batch.log
        known = changed.get(log) or snapshot.ledgers.get(log, _NONE)
        rows += [
            {
                "site": log.site,
                "node": log.node,
                "stream": log.stream,
                "epoch": log.epoch,
                "first": part.after + 1,
                "last": part.last,
                "reason": one.reason,
                "ingested": now,
            }
            for one in each.absent
            for part in known.missing(Span(one.first - 1, one.last))
        ]
        settled = ledgers.get(log, _NONE)
        before = [Span(0, settled.position)] if settled.position else []
        changed[log] = known.taken([*before, *settled.beyond, *each.take.spans])
    writer = DataFileWriter(lake.store, absent.folder, ABSENT, now.date())
    if rows:
        writer.add(pa.Table.from_pylist(rows, ABSENT))
    file = writer.finish()
    absent.commit(snapshot, [file] if file else [], changed)


def _set_aside(store: Store, damaged: Damaged) -> None:
    """Ask for a batch's numbers again, and move it out of the way, with the reason beside it.

    Whatever comes meanwhile has another key, so nothing but this batch is deleted, however late. It is asked for first:
    killed before the delete, the batch is found damaged once more.
    """
    batch = damaged.batch
    assert batch.span is not None
    try:
        data = read_object(store, batch.key, max(batch.size, MAX_UPLOAD_BYTES))
    except ObjectMissingError:
        return  # another ingester was faster
    if len(data) <= MAX_UPLOAD_BYTES and is_readable(data, batch):
        return  # it was damaged on the way here
    _log.warning("a batch can't be read and was set aside", key=batch.key, reason=damaged.reason)
    store.put(f"{DAMAGED}{batch.key}", data)
    store.put(f"{DAMAGED}{batch.key}.reason", damaged.reason.encode())
    store.put(request_key(Gap(batch.log, batch.span)), b"")
    store.delete(batch.key)
