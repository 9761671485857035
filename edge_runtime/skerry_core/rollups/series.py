"""What a record says for rollups: values, and the series that each belongs to. Pure, and of the record alone.

Of an event these are its `data`: each number, boolean, text and vector of numbers, by its dotted path. Of a prediction
they are what its answer took and said, told apart by release, variant and outcome.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.features.definition import MAX_VECTOR
from skerry_core.rollups.state import Shape, ValueKind

MAX_FIELDS = 64
"""Of one record; of more those whose paths are first in order count, so that it is the same ones wherever."""
MAX_PATH = 256
_MAX_DEPTH = 16

GROUP = ("namespace", "model", "version", "digest", "variant", "outcome")
"""By what a model's series are told apart."""
_OF_PREDICTIONS = frozenset(
    {
        *("latency", "rows", "decided"),
        *("pair.rows", "pair.disagreements", "pair.champion_latency", "pair.challenger_latency"),
    }
)
_ENTITY = "entity."

_decode = msgspec.json.Decoder().decode


class Series(NamedTuple):
    """One field's values of one kind; `group` is empty, or has a text for each of GROUP."""

    group: tuple[str, ...]
    path: str
    kind: ValueKind
    length: int = 0

    @property
    def shape(self) -> Shape:
        """Of this series' states."""
        return Shape(self.kind, self.length)


@dataclass(frozen=True, slots=True)
class Observed:
    """A record's values by series; `left_out` counts fields of which nothing can be told, or which are too many."""

    values: Mapping[Series, list[Any]]
    left_out: int = 0


_NOTHING = Observed({})


def observed(stream: str, body: bytes) -> Observed:
    """The values of a record's body; none if it can't be read."""
    try:
        record = _decode(body)
    except (ValueError, RecursionError):
        return _NOTHING
    if not isinstance(record, dict):
        return _NOTHING
    if stream == PREDICTIONS:
        return _bounded(_of_prediction(record))
    return _bounded(_leaves(record.get("data"), "", ()))


def _of_prediction(record: Mapping[str, Any]) -> Iterator[tuple[Series, Any] | None]:
    pair = record.get("pair")
    pair = pair if isinstance(pair, dict) else {}
    outcome = "Guardrail" if pair.get("error") else "Disagrees" if pair.get("disagreements") else "Answered"
    group = (*(_text(record.get(name)) for name in GROUP[:-1]), outcome)
    for leaf in _leaves(record, "", group):
        if leaf is None:
            continue  # what of predictions is told of is a choice, so nothing else is missing
        series, value = leaf
        if series.path == "decided" and series.kind is ValueKind.VECTOR:
            number = Series(group, series.path, ValueKind.NUMBER)
            yield from ((number, each) for each in value)
        elif series.path in _OF_PREDICTIONS or series.path.startswith(_ENTITY):
            yield leaf


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _leaves(value: Any, path: str, group: tuple[str, ...], depth: int = 0) -> Iterator[tuple[Series, Any] | None]:
    """A value's series and it, for each value that a series can be of; None for each other."""
    if value is None:
        return
    if isinstance(value, dict):
        if depth == _MAX_DEPTH:
            yield None
            return
        for key, member in value.items():
            yield from _leaves(member, f"{path}.{key}" if path else key, group, depth + 1)
        return
    if len(path) > MAX_PATH:
        yield None
    elif isinstance(value, str):
        yield Series(group, path, ValueKind.TEXT), value
    elif isinstance(value, list):
        numbers = [_number(item) for item in value] if 1 <= len(value) <= MAX_VECTOR else [None]
        yield None if None in numbers else (Series(group, path, ValueKind.VECTOR, len(numbers)), numbers)
    else:
        number = float(value) if isinstance(value, bool) else _number(value)
        yield None if number is None else (Series(group, path, ValueKind.NUMBER), number)


def _number(value: object) -> float | None:
    """As a double, rounded once if it is an integer beyond 2^53."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def _bounded(leaves: Iterator[tuple[Series, Any] | None]) -> Observed:
    values: dict[Series, list[Any]] = {}
    left_out = 0
    for leaf in leaves:
        if leaf is None:
            left_out += 1
        else:
            values.setdefault(leaf[0], []).append(leaf[1])
    if len(values) <= MAX_FIELDS:
        return Observed(values, left_out)
    kept = sorted(values)[:MAX_FIELDS]
    return Observed({series: values[series] for series in kept}, left_out + len(values) - MAX_FIELDS)
