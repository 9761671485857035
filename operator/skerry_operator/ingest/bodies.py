"""Rows of a stream's table back to bodies that the engine reads: of each body what a set looks at. No I/O.

Ingest has put the members of bodies into columns (`skerry_operator.ingest.schema`). What it can't tell any more is not
told here either: whether a member was null or missing, whether a number was written `5` or `5.0`, and names that differ
in case or in `_` against a level (`data.a_b`, `data.a.b`), but for a prediction's tensors where it has several of them.
A row that was set aside has its body whole.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

import msgspec
import pyarrow as pa

from skerry_operator.ingest import tensors
from skerry_operator.ingest.schema import JSON_MARK, column_name

SET_ASIDE, BODY = "set_aside", "body"
_encode = msgspec.json.Encoder().encode
_Column = Sequence[Any]


@dataclass(frozen=True)
class BodyPlan:
    """Which columns of a table bodies are made of; `columns` names them all."""

    columns: tuple[str, ...]
    whole: bool
    _build: Callable[[Mapping[str, _Column], int], Sequence[Any]]
    _keys: frozenset[str]
    _json: frozenset[str]

    @classmethod
    def compile(cls, paths: Iterable[str], keys: Iterable[str], schema: pa.Schema) -> "BodyPlan":
        """Make bodies with the members at these paths, as far as the table has columns for them.

        Those of `keys` name entities: an entity's number is whole, though the table holds floats.
        """
        tree: dict[str, Any] = {}
        for path in paths:
            *above, last = path.split(".")
            level = tree
            for name in above:
                level = level.setdefault(name, {})
            level[last] = None
        used: list[str] = []
        build = _builder(tree, (), frozenset(schema.names), used)
        whole = SET_ASIDE in schema.names and BODY in schema.names
        columns = tuple(dict.fromkeys([*used, *((SET_ASIDE, BODY) if whole else ())]))
        json = frozenset(name for name in used if JSON_MARK.encode() in (schema.field(name).metadata or {}))
        return cls(columns, whole, build, frozenset(map(column_of, keys)), json)

    def bodies(self, batch: pa.RecordBatch) -> list[bytes]:
        """A body for each row."""
        values: dict[str, _Column] = {}
        for name in self.columns:
            column = batch.column(name)
            found = column.to_pylist()
            if name in self._keys and pa.types.is_floating(column.type):
                found = [int(each) if each is not None and each.is_integer() else each for each in found]
            elif name in self._json:
                found = [None if each is None else msgspec.Raw(each.encode()) for each in found]
            values[name] = found
        bodies = list(map(_encode, self._build(values, batch.num_rows)))
        if self.whole:
            for row, (aside, body) in enumerate(zip(values[SET_ASIDE], values[BODY], strict=True)):
                if aside is not None:
                    bodies[row] = (body or "").encode()
        return bodies


def column_of(path: str) -> str:
    """The column of the member at a path: `data.oil.bar` is in `data_oil_bar`."""
    return column_name(tuple(path.split(".")))


def columns_of(path: str) -> tuple[str, ...]:
    """The columns that may have the member, in the order in which to look."""
    return tensors.columns_of(tuple(path.split(".")))


def _builder(
    tree: Mapping[str, Any], above: tuple[str, ...], known: frozenset[str], used: list[str]
) -> Callable[[Mapping[str, _Column], int], Sequence[Any]]:
    """What makes the objects of one level, all rows at once; a member without a value is left out."""
    parts: list[Callable[[Mapping[str, _Column], int], Sequence[Any]]] = []
    for name, below in tree.items():
        path = (*above, name)
        columns = [column for column in tensors.columns_of(path) if column in known]
        inner = None if below is None else _builder(below, path, known, used)
        used += columns
        parts.append(_part(columns, inner))
    rename = {f"m{index}": name for index, name in enumerate(tree)}
    members = [(attribute, Any, None) for attribute in rename]
    shape = msgspec.defstruct("Level", members, rename=rename, omit_defaults=True)

    def build(values: Mapping[str, _Column], count: int) -> Sequence[Any]:
        return [shape(*row) for row in zip(*(part(values, count) for part in parts), strict=True)]

    return build


def _part(
    columns: Sequence[str], inner: Callable[[Mapping[str, _Column], int], Sequence[Any]] | None
) -> Callable[[Mapping[str, _Column], int], Sequence[Any]]:
    """One member: the first of its columns that has something, or the objects below it where none has."""

    def build(values: Mapping[str, _Column], count: int) -> Sequence[Any]:
        sources = [values[column] for column in columns]
        if inner is not None:
            sources.append(inner(values, count))
        if not sources:
            return [None] * count
        return reduce(lambda first, then: [b if a is None else a for a, b in zip(first, then, strict=True)], sources)

    return build
