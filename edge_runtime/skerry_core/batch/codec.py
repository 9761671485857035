"""Batches to bytes and back."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import msgspec
import numpy as np

from skerry_core.batch import columns_form, jsonl_form, tabulate
from skerry_core.batch.assemble import values_of
from skerry_core.batch.bodies import Bodies, parse_rows, render
from skerry_core.batch.columnar import ColumnarBatch
from skerry_core.batch.columns_form import Columns
from skerry_core.batch.contents import Batch, Row
from skerry_core.batch.frame import compress, decompress
from skerry_core.batch.key import Format
from skerry_core.batch.layout import MAGIC
from skerry_core.batch.limits import DEFAULT_LIMITS, DamagedBatchError, Limits

_T = TypeVar("_T")
_SMALL = 8  # rows; below, columns have little to gain
LEVEL = 9  # of zstd; higher ones gain under one percent
_FAST_LEVEL = 3  # to see whether columns beat lines, which they hardly ever fail to do
_CLEARLY = 0.75  # of what lines take at the fast level; the other one never saves so much


@dataclass(frozen=True, slots=True)
class Encoded:
    """A batch as it goes to the store."""

    data: bytes
    format: Format


def encode(batch: Batch) -> Encoded:
    """Typed columns or JSON Lines, whichever is smaller, in one zstd frame with a checksum.

    Columns are read back and compared before they are trusted: the rows may have no other copy once they are uploaded.
    A batch of more than DEFAULT_LIMITS.max_bytes comes out, but `decode` will refuse it by default.
    """
    bodies = parse_rows(batch.rows)
    lines = [jsonl_form.write(batch, bodies)]
    if len(batch.rows) < _SMALL:
        return Encoded(compress(lines, LEVEL), Format.JSONL)
    columns = columns_form.columns_of(batch, bodies)
    pieces = columns_form.pack(columns)
    data, fast = compress(pieces, LEVEL), compress(lines, _FAST_LEVEL)
    if len(data) < _CLEARLY * len(fast) and _comes_back(b"".join(pieces), columns, bodies):
        return Encoded(data, Format.COLUMNS)
    # On very repetitive text the higher level can lose.
    best = min(fast, compress(lines, LEVEL), key=len)
    if _CLEARLY * len(fast) <= len(data) < len(best) and _comes_back(b"".join(pieces), columns, bodies):
        return Encoded(data, Format.COLUMNS)
    return Encoded(best, Format.JSONL)


def encode_as(batch: Batch, form: Format) -> Encoded:
    """A batch in the form asked for."""
    bodies = parse_rows(batch.rows)
    if form is Format.JSONL:
        return Encoded(compress([jsonl_form.write(batch, bodies)], LEVEL), form)
    return Encoded(compress(columns_form.pack(columns_form.columns_of(batch, bodies)), LEVEL), form)


def _comes_back(content: bytes, columns: Columns, bodies: Bodies) -> bool:
    try:
        read = columns_form.unpack(content, DEFAULT_LIMITS)
        values = values_of(read.body)
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        return False
    clocks = (
        (read.seq, columns.seq),
        (read.hlc, columns.hlc),
        (read.time, columns.time),
        (read.received, columns.received),
        (read.flags, columns.flags),
    )
    return (
        all(np.array_equal(one, other) for one, other in clocks)
        and (read.odd, read.absent) == (columns.odd, columns.absent)
        and all(value == body for value, body in zip(values, bodies, strict=True) if body is not None)
    )


def decode(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Batch:
    """A batch of either form. Bodies have the same JSON value as the encoded ones. Raises DamagedBatchError."""
    content = decompress(data, limits)
    if content.startswith(MAGIC):
        return _checked(lambda: _rows(columns_form.unpack(content, limits), limits))
    return _checked(lambda: jsonl_form.read(content, limits))


def decode_columns(data: bytes, limits: Limits = DEFAULT_LIMITS) -> ColumnarBatch:
    """A batch of either form as typed columns, without JSON of its rows. Raises DamagedBatchError."""
    content = decompress(data, limits)
    if content.startswith(MAGIC):
        return _checked(lambda: _table(columns_form.unpack(content, limits)))
    return _checked(lambda: _table(_shredded(jsonl_form.read(content, limits))))


def _checked(read: Callable[[], _T]) -> _T:
    try:
        return read()
    except (ValueError, OverflowError, RecursionError, msgspec.MsgspecError) as error:
        raise DamagedBatchError(f"a damaged batch ({error})") from error


def _shredded(batch: Batch) -> Columns:
    return columns_form.columns_of(batch, parse_rows(batch.rows))


def _rows(columns: Columns, limits: Limits) -> Batch:
    odd = dict(columns.odd)
    bodies, left = [], limits.max_bytes
    for row, value in enumerate(values_of(columns.body)):
        bodies.append(odd[row] if row in odd else render(value))
        left -= len(bodies[-1])
        if left < 0:
            raise ValueError("more text than the limits allow")
    clocks = zip(
        columns.seq.tolist(),
        columns.hlc.tolist(),
        columns.time.tolist(),
        columns.received.tolist(),
        columns.flags.tolist(),
        bodies,
        strict=True,
    )
    return Batch(columns.log, columns.after, columns.last, tuple(Row(*row) for row in clocks), columns.absent)


def _table(columns: Columns) -> ColumnarBatch:
    return ColumnarBatch(
        log=columns.log,
        after=columns.after,
        last=columns.last,
        absent=columns.absent,
        seq=columns.seq,
        hlc=columns.hlc,
        time=columns.time,
        received=columns.received,
        flags=columns.flags,
        columns=tabulate.columns_of(columns.body),
        odd=columns.odd,
    )
