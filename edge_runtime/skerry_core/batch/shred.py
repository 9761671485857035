"""From rows to columns: the values of many bodies become a tree of typed arrays."""

from typing import Any

import numpy as np

from skerry_core.batch.bodies import render
from skerry_core.batch.nodes import (
    MISSING,
    Array,
    Bools,
    Floats,
    Ints,
    Json,
    Lists,
    Missing,
    Mixed,
    Node,
    Null,
    Object,
    Strings,
)
from skerry_core.batch.texts import Texts

MAX_NESTING = 12  # levels of the tree; what lies deeper is kept as JSON text
MAX_ITEMS = 16  # arrays up to this length have a column a place
MAX_COLUMNS = 512
_SPARSE = 16  # an object whose keys are in fewer than one of so many rows is a map, not a record
_EXACT = 2**53
_INT64 = range(-(2**63), 2**63)
_BOOL, _INT, _FLOAT, _STR, _LIST, _DICT, _NONE, _GONE = bool, int, float, str, list, dict, type(None), object
_TYPES = (_GONE, _NONE, _BOOL, _INT, _FLOAT, _STR, _LIST, _DICT)


class Shredder:
    """Makes one batch's tree; counts its columns, so that hostile or odd bodies can't make it wide."""

    def __init__(self) -> None:
        self._columns = 0

    def node(self, values: list[Any], nesting: int = 0) -> Node:
        """The tree of values (as msgspec reads JSON, or MISSING) [n]."""
        if not values:
            return Null(0)
        types = set(map(type, values))
        if len(types) == 1:
            return self._of_type(next(iter(types)), values, nesting)
        if types == {_INT, _FLOAT} and all(-_EXACT <= value <= _EXACT for value in values if type(value) is _INT):
            self._columns += 1
            whole = np.fromiter((type(value) is _INT for value in values), np.bool_, len(values))
            return Floats(np.array(values, np.float64), whole)
        present = [one for one in _TYPES if one in types]
        number = {one: tag for tag, one in enumerate(present)}
        tags = np.fromiter((number[type(value)] for value in values), np.int64, len(values))
        by_type: dict[type, list[Any]] = {one: [] for one in present}
        for value in values:
            by_type[type(value)].append(value)
        return Mixed(tags, tuple(self._of_type(one, by_type[one], nesting) for one in present))

    def _of_type(self, kind: type, values: list[Any], nesting: int) -> Node:  # noqa: PLR0911 - one case a type
        if kind in (_DICT, _LIST):
            if nesting >= MAX_NESTING or self._columns >= MAX_COLUMNS:
                return _json(values)
            return self._objects(values, nesting) if kind is _DICT else self._lists(values, nesting)
        self._columns += 1
        if kind is _STR:
            return Strings(Texts(values))
        if kind is _INT:
            fits = min(values) in _INT64 and max(values) in _INT64
            return Ints(np.array(values, np.int64)) if fits else _json(values)
        if kind is _FLOAT:
            return Floats(np.array(values, np.float64))
        if kind is _BOOL:
            return Bools(np.array(values, np.bool_))
        return Null(len(values)) if kind is _NONE else Missing(len(values))

    def _objects(self, values: list[dict[str, Any]], nesting: int) -> Node:
        first = values[0]
        alike = all(map(first.keys().__eq__, map(dict.keys, values)))
        keys = first if alike else dict.fromkeys(key for value in values for key in value)
        sparse = sum(map(len, values)) * _SPARSE < len(keys) * len(values)
        if sparse or self._columns + len(keys) > MAX_COLUMNS:
            return _json(values)
        if alike:
            members = [(key, [value[key] for value in values]) for key in keys]
        else:
            members = [(key, [value.get(key, MISSING) for value in values]) for key in keys]
        return Object(len(values), tuple((key, self.node(column, nesting + 1)) for key, column in members))

    def _lists(self, values: list[list[Any]], nesting: int) -> Node:
        lengths = list(map(len, values))
        length = lengths[0]
        if 0 < length <= MAX_ITEMS and lengths.count(length) == len(lengths):
            items = zip(*values, strict=True)
            return Array(len(values), tuple(self.node(list(item), nesting + 1) for item in items))
        elements = [element for value in values for element in value]
        return Lists(np.array(lengths, np.int64), self.node(elements, nesting + 1))


def _json(values: list[Any]) -> Json:
    return Json(Texts([render(value).decode() for value in values]))
