"""A decoded batch as rows of its stream's table. No I/O."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.batch.columnar import Column, ColumnarBatch
from skerry_core.micros import micros_of
from skerry_operator.ingest.fit import Fitted, fit, proposed_type, reason
from skerry_operator.ingest.ledger import Span
from skerry_operator.ingest.schema import ATTRIBUTES, MAX_COLUMNS, ColumnType, TableColumn, column_name, stream_schema
from skerry_operator.ingest.tensors import is_tensor, placed

# What Python, and so most readers, can show of a time: the years 1 to 9999.
_FIRST_MOMENT = micros_of(datetime(1, 1, 1, tzinfo=UTC))
_LAST_MOMENT = micros_of(datetime(9999, 12, 31, tzinfo=UTC))
_NO_OBJECT = "the body is no JSON object"
_BOTH = "{}: two members have this one name"
_TOO_MANY = f"the table has its {MAX_COLUMNS} columns, and the body has members besides"

Bodies = Callable[[], Mapping[int, bytes]]


@dataclass(frozen=True, slots=True)
class Rows:
    """What a batch adds to its table, and how many of these rows are set aside."""

    table: pa.Table
    set_aside: int


def new_columns(batch: ColumnarBatch, columns: Sequence[TableColumn]) -> tuple[TableColumn, ...]:
    """The columns that the table doesn't have yet and this batch would fill, as many as there is room for."""
    known = {column.name for column in (*ATTRIBUTES, *columns)}
    found: dict[str, TableColumn] = {}
    for name, column in _placed(batch):
        if name not in known and name not in found:
            found[name] = TableColumn(name, ColumnType.JSON if _varies(batch, column) else proposed_type(column))
    return tuple(found.values())[: max(MAX_COLUMNS - len(columns), 0)]


def _varies(batch: ColumnarBatch, column: Column) -> bool:
    """Whether it is a tensor's shape or data in predictions.

    Models call tensors alike whose data are of other types, and privacy rules change what they are.
    """
    return batch.log.stream == PREDICTIONS and is_tensor(column.path) and column.path[-1] != "datatype"


def assemble(
    batch: ColumnarBatch, spans: Iterable[Span], columns: Sequence[TableColumn], ingested: datetime, bodies: Bodies
) -> Rows:
    """The rows of these spans. `bodies` gives the bodies by sequence number, and is asked only for rows set aside.

    Raises pyarrow.ArrowInvalid if a text isn't UTF-8.
    """
    count = len(batch)
    reasons: dict[int, str] = dict.fromkeys((row for row, _ in batch.odd), _NO_OBJECT)
    arrays = _fitted(batch, columns, reasons)
    aside = np.zeros(count, np.bool_)
    aside[list(reasons)] = True
    if reasons:
        arrays = {
            name: pc.if_else(pa.array(aside), pa.scalar(None, array.type), array) for name, array in arrays.items()
        }
    moment = pa.timestamp("us", tz="UTC")
    given = {
        "site": _same(batch.log.site, count),
        "node": _same(batch.log.node, count),
        "epoch": _same(batch.log.epoch, count),
        "seq": pa.array(batch.seq),
        "hlc": pa.array(np.minimum(batch.hlc, np.uint64(2**63 - 1)).astype(np.int64)),
        "time": pa.array(np.clip(batch.time, _FIRST_MOMENT, _LAST_MOMENT)).cast(moment),
        "received": pa.array(np.clip(batch.received, _FIRST_MOMENT, _LAST_MOMENT)).cast(moment),
        "ingested": pa.repeat(pa.scalar(ingested, moment), count),
        "flags": pa.array(batch.flags.astype(np.int32)),
        **_set_aside(batch, reasons, bodies),
    }
    schema = stream_schema(columns)
    named = given | arrays
    table = pa.table([named.get(field.name, pa.nulls(count, field.type)) for field in schema], schema)
    chosen = _chosen(batch.seq, spans)
    if not chosen.all():
        table = table.filter(pa.array(chosen))
    return Rows(table, int((aside & chosen).sum()))


def _fitted(batch: ColumnarBatch, columns: Sequence[TableColumn], reasons: dict[int, str]) -> dict[str, pa.Array]:
    """The members as columns; `reasons` gets the rows that don't fit."""
    types = {column.name: column.type for column in (*ATTRIBUTES, *columns)}
    arrays: dict[str, Fitted] = {}
    for name, column in _placed(batch):
        if name not in types:
            there = np.ones(len(batch), np.bool_) if column.valid is None else column.valid
            _note(reasons, there, _TOO_MANY)
            continue
        fitted = fit(column, types[name])
        if not fitted.fits:
            _note(reasons, fitted.misfit, reason(name, types[name]))
        if name in arrays:
            before = arrays[name].values
            _note(reasons, np.asarray(pc.and_(before.is_valid(), fitted.values.is_valid())), _BOTH.format(name))
            fitted = Fitted(pc.coalesce(before, fitted.values), fitted.misfit)
        arrays[name] = fitted
    return {name: fitted.values for name, fitted in arrays.items()}


def _placed(batch: ColumnarBatch) -> list[tuple[str, Column]]:
    """The members by the names of their columns."""
    members = _members(batch)
    if batch.log.stream == PREDICTIONS:
        return placed(members, len(batch))
    return [(column_name(member.path), member) for member in members]


def _members(batch: ColumnarBatch) -> list[Column]:
    """The bodies' members, without those of a CloudEvents envelope that every row has in another form."""
    envelope = next((column for column in batch.columns if column.path == ("specversion",)), None)
    if envelope is None:
        return list(batch.columns)
    events = np.ones(len(batch), np.bool_) if envelope.valid is None else envelope.valid
    members = []
    for column in batch.columns:
        if column is envelope:
            continue
        if column.path != ("time",):
            members.append(column)
            continue
        left = ~events if column.valid is None else column.valid & ~events
        if left.any():
            members.append(replace(column, valid=left))
    return members


def _note(reasons: dict[int, str], rows: NDArray[np.bool_], text: str) -> None:
    for row in np.flatnonzero(rows):
        reasons.setdefault(int(row), text)


def _set_aside(batch: ColumnarBatch, reasons: Mapping[int, str], bodies: Bodies) -> dict[str, pa.Array]:
    """The columns `set_aside` and `body`; without rows that don't fit, they stay away and so null."""
    if not reasons:
        return {}
    texts: list[str | None] = [None] * len(batch)
    odd = dict(batch.odd)
    whole = bodies() if reasons.keys() - odd.keys() else {}
    for row in reasons:
        body = odd[row] if row in odd else whole[int(batch.seq[row])]
        texts[row] = body.decode("utf-8", "replace")
    said = [reasons.get(row) for row in range(len(batch))]
    return {"set_aside": pa.array(said, pa.string()), "body": pa.array(texts, pa.string())}


def _chosen(seq: NDArray[np.int64], spans: Iterable[Span]) -> NDArray[np.bool_]:
    chosen = np.zeros(len(seq), np.bool_)
    for span in spans:
        chosen |= (seq > span.after) & (seq <= span.last)
    return chosen


def _same(value: str, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(value, pa.string()), count)
