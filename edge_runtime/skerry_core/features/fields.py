"""Checks of one field over a batch: type, unit, and what is plausible."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from skerry_core.features.columns import Floats, Mask
from skerry_core.features.definition import FieldType, SourceField

MAX_TEXT = 256
_INT64 = range(-(1 << 63), 1 << 63)
# Beyond it a float is whole without being exact.
_EXACT = float(1 << 53)

Faults: TypeAlias = Mapping[int, str]
Check: TypeAlias = Callable[[Sequence[Any]], tuple[Sequence[Any], Faults]]
ToldCheck: TypeAlias = Callable[[Sequence[Any], Sequence[Any]], tuple[Sequence[Any], Faults]]
_NONE: Faults = {}


def check_for(source: SourceField) -> Check:
    """A function from a field's raw values (None: missing) to its values, and faults by position."""
    inner = {
        FieldType.FLOAT64: _floats,
        FieldType.INT64: _integers,
        FieldType.BOOL: _of_type(bool),
        FieldType.STRING: _texts,
        FieldType.VECTOR: _vectors,
    }[source.type]

    def check(values: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
        faults: dict[int, str] = {}
        if None in values:
            present = [at for at, value in enumerate(values) if value is not None]
            if source.required:
                faults = {at: "Missing" for at, value in enumerate(values) if value is None}
            some, found = inner(source, [values[at] for at in present])
            spread: list[Any] = [None] * len(values)
            for at, value in zip(present, some, strict=True):
                spread[at] = value
            return spread, faults | {present[at]: reason for at, reason in found.items()}
        return inner(source, values)

    return check


def check_told(source: SourceField) -> ToldCheck:
    """As `check_for`, of values whose units are told beside them (None: not told)."""
    told = source.told_unit
    assert told is not None
    checks: dict[str | None, Check] = {None: check_for(source)}
    for each in told.conversions:
        checks[each.unit] = check_for(source.model_copy(update={"factor": each.factor, "offset": each.offset}))

    def check(values: Sequence[Any], units: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
        faults: dict[int, str] = {}
        places: dict[str | None, list[int]] = {}
        for at, (value, unit) in enumerate(zip(values, units, strict=True)):
            if value is None or (unit is None and not told.required):
                places.setdefault(None, []).append(at)
            elif unit is None:
                faults[at] = "UnitMissing"
            elif isinstance(unit, str) and unit in checks:
                places.setdefault(unit, []).append(at)
            else:
                faults[at] = "UnitUnknown"
        spread: list[Any] = [None] * len(values)
        for unit, some in places.items():
            checked, found = checks[unit]([values[at] for at in some])
            for at, value in zip(some, checked, strict=True):
                spread[at] = value
            faults |= {some[at]: reason for at, reason in found.items()}
        return spread, faults

    return check


def _floats(source: SourceField, values: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
    faults: dict[int, str] = {}
    if not set(map(type, values)) <= {float}:
        values, faults = _clean(values, _as_float)
    checked, found = _scale(source, np.array(values, dtype=np.float64))
    return checked.tolist(), {**found, **faults}


def _integers(source: SourceField, values: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
    if not set(map(type, values)) <= {int} or (values and not (min(values) in _INT64 and max(values) in _INT64)):
        values, faults = _clean(values, _as_integer)
    else:
        faults = {}
    rescaled = source.factor != 1 or source.offset != 0
    checked, found = _scale(source, np.array(values, dtype=np.float64))
    return checked.tolist() if rescaled else values, {**found, **faults}


def _texts(source: SourceField, values: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
    values, faults = _of_type(str)(source, values)
    if values and max(map(len, values)) > MAX_TEXT:
        faults = {**{at: "TooLong" for at, value in enumerate(values) if len(value) > MAX_TEXT}, **faults}
    return values, faults


def _vectors(source: SourceField, values: Sequence[Any]) -> tuple[Sequence[Any], Faults]:
    length = source.length or 0
    zero = [0.0] * length
    faults = {at: "WrongType" for at, value in enumerate(values) if type(value) is not list}
    faults |= {at: "WrongLength" for at, value in enumerate(values) if at not in faults and len(value) != length}
    clean = [zero if at in faults else value for at, value in enumerate(values)]
    matrix = np.array(clean, dtype=np.float64).reshape(len(clean), length)
    checked, found = _scale(source, matrix)
    return checked.tolist(), {**found, **faults}


def _of_type(kind: type) -> Callable[[SourceField, Sequence[Any]], tuple[Sequence[Any], Faults]]:
    def check(source: SourceField, values: Sequence[Any]) -> tuple[Sequence[Any], Faults]:  # noqa: ARG001 - as others
        if set(map(type, values)) <= {kind}:
            return values, _NONE
        faults = {at: "WrongType" for at, value in enumerate(values) if type(value) is not kind}
        return [kind() if at in faults else value for at, value in enumerate(values)], faults

    return check


def _scale(source: SourceField, values: Floats) -> tuple[Floats, dict[int, str]]:
    """To the set's unit; faults of what isn't finite or plausible. Adding 0.0 makes -0.0 the one zero there is."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = values * source.factor + (source.offset + 0.0)
    scaled += 0.0
    faults: dict[int, str] = {}
    finite = np.isfinite(scaled)
    if not finite.all():
        faults.update(dict.fromkeys(_rows(~finite), "NotFinite"))
    out: Mask = np.zeros(scaled.shape, dtype=np.bool_)
    if source.minimum is not None:
        out |= scaled < source.minimum
    if source.maximum is not None:
        out |= scaled > source.maximum
    if out.any():
        faults = dict.fromkeys(_rows(out), "OutOfRange") | faults
    return scaled, faults


def _rows(flags: Mask) -> list[int]:
    rows: list[int] = np.flatnonzero(flags.reshape(len(flags), -1).any(axis=1)).tolist()
    return rows


def _clean(values: Sequence[Any], convert: Callable[[Any], Any]) -> tuple[list[Any], dict[int, str]]:
    """Convert each; a value that can't be is a fault and stands as zero."""
    clean, faults = [], {}
    for at, value in enumerate(values):
        made = convert(value)
        if isinstance(made, str):
            faults[at] = made
            made = 0
        clean.append(made)
    return clean, faults


def _as_float(value: Any) -> float | str:
    if type(value) not in {float, int}:
        return "WrongType"
    try:
        return float(value)
    except OverflowError:
        return "OutOfRange"


def _as_integer(value: Any) -> int | str:
    if type(value) is float and value.is_integer() and abs(value) <= _EXACT:
        value = int(value)
    if type(value) is not int:
        return "WrongType"
    return value if value in _INT64 else "OutOfRange"
