"""A share of a commit's work: read batches, write one data file. The same on this machine and on a Dask worker.

Nothing that happens here counts before a commit names the file, so a share may be cut off, lost and done again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa

from skerry_core.batch.codec import decode, decode_columns
from skerry_core.batch.columnar import ColumnarBatch
from skerry_core.batch.limits import DEFAULT_LIMITS, DamagedBatchError
from skerry_core.store.errors import ObjectMissingError
from skerry_core.store.grant import MAX_UPLOAD_BYTES
from skerry_core.store.location import S3Access, open_store
from skerry_core.store.port import Store, read_object
from skerry_operator.ingest.assemble import Rows, assemble, new_columns
from skerry_operator.ingest.data_file import DataFile, DataFileWriter
from skerry_operator.ingest.plan import Listed, Take
from skerry_operator.ingest.schema import TableColumn, stream_schema


@dataclass(frozen=True, slots=True)
class Part:
    """What to read and where to write: `folder` is the table's, `columns` those that it has beside the fixed ones."""

    store_uri: str
    access: S3Access | None
    folder: str
    columns: tuple[TableColumn, ...]
    takes: tuple[Take, ...]
    now: datetime


@dataclass(frozen=True, slots=True)
class AbsentSpan:
    """Sequence numbers, both ends included, that a batch says have no row, and why."""

    first: int
    last: int
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """A batch that was read. `received` is the newest row's, in µs since 1970 UTC; None without rows."""

    take: Take
    rows: int
    set_aside: int
    absent: tuple[AbsentSpan, ...]
    received: int | None


@dataclass(frozen=True, slots=True)
class Damaged:
    """A batch that can't be read, and why."""

    batch: Listed
    reason: str


@dataclass(frozen=True, slots=True)
class PartResult:
    """What became of a part. With `wanted` columns the table lacks, nothing was written: add them and try again.

    Batches that are in neither `taken` nor `damaged` were gone.
    """

    wanted: tuple[TableColumn, ...] = ()
    file: DataFile | None = None
    taken: tuple[Taken, ...] = ()
    damaged: tuple[Damaged, ...] = ()


def work(part: Part) -> PartResult:
    """Do a share of the work; raises the store's errors."""
    store = open_store(part.store_uri, part.access)
    writer = DataFileWriter(store, part.folder, stream_schema(part.columns), part.now.date())
    wanted: dict[str, TableColumn] = {}
    taken: list[Taken] = []
    damaged: list[Damaged] = []
    for take in part.takes:
        try:
            data = _read(store, take.batch)
            batch = decode_columns(data)
            _check(batch, take.batch)
            wanted |= {each.name: wanted.get(each.name, each) for each in new_columns(batch, part.columns)}
            if not wanted:
                rows = assemble(batch, take.spans, part.columns, part.now, _Bodies(data))
        except ObjectMissingError:
            continue
        except (DamagedBatchError, pa.ArrowInvalid, _OtherBatchError) as error:
            damaged.append(Damaged(take.batch, str(error)))
            continue
        if not wanted:
            writer.add(rows.table)
            taken.append(_taken(take, batch, rows))
    if wanted:
        return PartResult(wanted=tuple(wanted.values()))
    return PartResult(file=writer.finish(), taken=tuple(taken), damaged=tuple(damaged))


def parted(takes: Sequence[Take], shares: int) -> list[tuple[Take, ...]]:
    """Divide batches into at most so many shares of about the same size, a log's batches beside each other."""
    ordered = sorted(takes, key=lambda take: take.batch.key)
    whole = sum(take.batch.size + 1 for take in ordered)
    parts: list[list[Take]] = [[] for _ in range(shares)]
    before = 0
    for take in ordered:
        parts[before * shares // whole].append(take)
        before += take.batch.size + 1
    return [tuple(part) for part in parts if part]


def is_readable(data: bytes, listed: Listed) -> bool:
    """Whether these bytes are the batch that its key names, its bodies' text included: rows set aside have it."""
    try:
        _check(decode_columns(data), listed)
        _Bodies(data)()
    except (DamagedBatchError, _OtherBatchError):
        return False
    return True


class _OtherBatchError(Exception):
    """The object can't be the batch that its key names."""


class _Bodies:
    """Decodes a batch's bodies when they are asked for."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __call__(self) -> Mapping[int, bytes]:
        return {row.seq: row.body for row in decode(self._data, DEFAULT_LIMITS).rows}


def _read(store: Store, listed: Listed) -> bytes:
    if listed.size > MAX_UPLOAD_BYTES:
        raise _OtherBatchError(f"it has {listed.size} bytes, more than a site may upload")
    return read_object(store, listed.key, MAX_UPLOAD_BYTES)


def _check(batch: ColumnarBatch, listed: Listed) -> None:
    """A site may write its own prefix only, so it's the key that says whose rows these are."""
    assert listed.span is not None
    if batch.log != listed.log or (batch.after, batch.last) != (listed.span.after, listed.span.last):
        raise _OtherBatchError("it holds another log or other positions than its key says")


def _taken(take: Take, batch: ColumnarBatch, rows: Rows) -> Taken:
    absent = tuple(
        AbsentSpan(max(each.first, span.after + 1), min(each.last, span.last), each.reason)
        for each in batch.absent
        for span in take.spans
        if max(each.first, span.after + 1) <= min(each.last, span.last)
    )
    newest = int(batch.received.max()) if len(batch) else None
    return Taken(take, rows.table.num_rows, rows.set_aside, absent, newest)
