"""One member of a batch's bodies as a table's column: the values that fit, and which rows don't. No I/O."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from skerry_core.batch.columnar import Column, Kind, Strings
from skerry_operator.ingest.schema import ColumnType

# Whole numbers up to here, either way, are exact as floats (IEEE 754 binary64).
_EXACT = 1 << 53
_MAX_LONG = 1 << 63
_PLAIN = {
    Kind.BOOL: ColumnType.BOOLEAN,
    Kind.FLOAT: ColumnType.DOUBLE,
    Kind.STRING: ColumnType.TEXT,
    Kind.INTS: ColumnType.NUMBERS,
    Kind.FLOATS: ColumnType.NUMBERS,
}
_SAID = {
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DOUBLE: "numbers that a float holds exactly",
    ColumnType.LONG: "whole numbers of 64 bits",
    ColumnType.TEXT: "texts",
    ColumnType.NUMBERS: "lists of numbers",
}


@dataclass(frozen=True, slots=True)
class Fitted:
    """A column's values, null where there are none or where `misfit` is True."""

    values: pa.Array
    misfit: NDArray[np.bool_]

    @property
    def fits(self) -> bool:
        return not self.misfit.any()


def reason(name: str, column_type: ColumnType) -> str:
    """Why a row is set aside."""
    return f"{name}: the column holds {_SAID.get(column_type, column_type)}"


def proposed_type(column: Column) -> ColumnType:
    """What a new column for these values should be; of mixed values the kind that most have."""
    if column.kind is Kind.INT:
        return ColumnType.DOUBLE if _all_exact(np.asarray(column.values)[_valid(column)]) else ColumnType.LONG
    if column.kind is Kind.INTS and not _all_exact(np.asarray(column.values)):
        return ColumnType.JSON
    if column.kind is not Kind.JSON:
        return _PLAIN[column.kind]
    kinds = Counter(_type_of(value) for value in _decoded(column) if value is not None)
    return kinds.most_common(1)[0][0] if kinds else ColumnType.JSON


def fit(column: Column, column_type: ColumnType) -> Fitted:
    """Cast a column to a table's type, value by value where the kinds don't simply agree."""
    valid = _valid(column)
    if column_type is ColumnType.JSON:
        return Fitted(_json_text(column, valid), _none(valid))
    if _PLAIN.get(column.kind) is column_type and column.kind is not Kind.INTS:
        return Fitted(_array(column, valid), _none(valid))
    if column.kind is Kind.INTS and column_type is ColumnType.NUMBERS and _all_exact(np.asarray(column.values)):
        return Fitted(_array(column, valid).cast(column_type.arrow), _none(valid))
    if column.kind in {Kind.INT, Kind.FLOAT} and column_type in {ColumnType.DOUBLE, ColumnType.LONG}:
        return _number(np.asarray(column.values), valid, column_type)
    return _one_by_one(_decoded(column), column_type)


def _number(values: NDArray[Any], valid: NDArray[np.bool_], column_type: ColumnType) -> Fitted:
    if column_type is ColumnType.DOUBLE:
        good = (values >= -_EXACT) & (values <= _EXACT)
    elif values.dtype == np.int64:
        good = np.ones(len(values), np.bool_)
    else:
        good = (np.abs(values) < _MAX_LONG) & (np.floor(values) == values)
    there = valid & good
    cast = np.where(there, values, 0).astype(np.float64 if column_type is ColumnType.DOUBLE else np.int64)
    return Fitted(pa.array(cast, mask=~there), valid & ~good)


def _all_exact(numbers: NDArray[Any]) -> bool:
    return bool(np.all((numbers >= -_EXACT) & (numbers <= _EXACT)))


def _one_by_one(values: Sequence[Any], column_type: ColumnType) -> Fitted:
    cast = _CASTS[column_type]
    fitted = [None if value is None else cast(value) for value in values]
    misfit = [value is not None and now is None for value, now in zip(values, fitted, strict=True)]
    return Fitted(pa.array(fitted, column_type.arrow), np.array(misfit, np.bool_))


def _as_double(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if isinstance(value, float) or abs(value) <= _EXACT else None


def _as_long(value: Any) -> int | None:
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_LONG else None


def _as_numbers(value: Any) -> list[float] | None:
    if not isinstance(value, list):
        return None
    numbers = [_as_double(each) for each in value]
    return None if None in numbers else [number for number in numbers if number is not None]


_CASTS: dict[ColumnType, Callable[[Any], Any]] = {
    ColumnType.BOOLEAN: lambda value: value if isinstance(value, bool) else None,
    ColumnType.DOUBLE: _as_double,
    ColumnType.LONG: _as_long,
    ColumnType.TEXT: lambda value: value if isinstance(value, str) else None,
    ColumnType.NUMBERS: _as_numbers,
}


def _type_of(value: Any) -> ColumnType:
    if isinstance(value, list) and value and _as_numbers(value) is None:
        return ColumnType.JSON
    for column_type in (ColumnType.BOOLEAN, ColumnType.DOUBLE, ColumnType.LONG, ColumnType.TEXT, ColumnType.NUMBERS):
        if _CASTS[column_type](value) is not None:
            return column_type
    return ColumnType.JSON


def _decoded(column: Column) -> list[Any]:
    """The values as Python has them, None where there is none."""
    values: list[Any] = _array(column, _valid(column)).to_pylist()
    if column.kind is not Kind.JSON:
        return values
    return [None if value is None else msgspec.json.decode(value) for value in values]


def _json_text(column: Column, valid: NDArray[np.bool_]) -> pa.Array:
    if column.kind is Kind.JSON:
        return _array(column, valid)
    values = [None if value is None else msgspec.json.encode(value).decode() for value in _decoded(column)]
    return pa.array(values, pa.string())


def _array(column: Column, valid: NDArray[np.bool_]) -> pa.Array:
    mask = None if column.valid is None else ~valid
    values = column.values
    if isinstance(values, Strings):
        return _texts(values, mask)
    if column.offsets is not None:
        numbers = pa.array(values.astype(np.float64) if column.kind is Kind.FLOATS else values)
        return pa.ListArray.from_arrays(
            pa.array(column.offsets, pa.int32()), numbers, mask=None if mask is None else pa.array(mask)
        )
    return pa.array(values, mask=mask)


def _texts(strings: Strings, mask: NDArray[np.bool_] | None) -> pa.Array:
    """UTF-8 in one piece as Arrow's; ArrowInvalid if it isn't UTF-8."""
    buffers = [None, pa.py_buffer(np.ascontiguousarray(strings.offsets, np.int64)), pa.py_buffer(strings.data)]
    texts = pa.LargeStringArray.from_buffers(len(strings.offsets) - 1, buffers[1], buffers[2], None, 0, 0)
    texts.validate(full=True)
    texts = texts.cast(pa.string())
    if strings.codes is not None:
        return texts.take(pa.array(strings.codes, mask=mask))
    return texts if mask is None else pc.if_else(pa.array(mask), pa.scalar(None, pa.string()), texts)


def _valid(column: Column) -> NDArray[np.bool_]:
    if column.valid is not None:
        return column.valid
    if column.offsets is not None:
        return np.ones(len(column.offsets) - 1, np.bool_)
    values = column.values
    if isinstance(values, Strings):
        return np.ones(len(values.codes) if values.codes is not None else len(values.offsets) - 1, np.bool_)
    return np.ones(len(values), np.bool_)


def _none(valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.zeros(len(valid), np.bool_)
