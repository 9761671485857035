"""From the tree of a batch's bodies to columns that a table can have."""

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.assemble import values_of
from skerry_core.batch.bodies import render
from skerry_core.batch.columnar import Column, Kind, Strings
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
)
from skerry_core.batch.nodes import Strings as StringsNode
from skerry_core.batch.texts import offsets_of, strings_of

Mask = NDArray[np.bool_] | None  # None: all
_T = TypeVar("_T", bound=np.generic)
_Numbers = Ints | Floats
_Values = NDArray[np.int64] | NDArray[np.float64]


def columns_of(node: Node) -> tuple[Column, ...]:
    """The columns of a tree. Raises what `assemble.values_of` does."""
    return tuple(_columns(node, (), None))


def _columns(node: Node, path: tuple[str, ...], valid: Mask) -> Iterator[Column]:  # noqa: C901 - one case a kind of node
    """Columns of a node that has a value for each row where `valid`."""
    match node:
        case Missing() | Null():
            return
        case Object(members=members):
            for key, member in members:
                yield from _columns(member, (*path, key), valid)
        case Mixed():
            yield from _mixed(node, path, valid)
        case Bools(values=values):
            yield Column(path, Kind.BOOL, _spread(values, valid), valid)
        case Ints(values=values):
            yield Column(path, Kind.INT, _spread(values, valid), valid)
        case Floats(values=values):
            yield Column(path, Kind.FLOAT, _spread(values, valid), valid)
        case StringsNode(texts=texts):
            yield Column(path, Kind.STRING, _spread_strings(texts.strings(), valid), valid)
        case Json(texts=texts):
            values_of(node)  # that it is JSON, which nobody has read yet
            yield Column(path, Kind.JSON, _spread_strings(texts.strings(), valid), valid)
        case Lists() | Array():
            yield _list(node, path, valid)


def _mixed(node: Mixed, path: tuple[str, ...], valid: Mask) -> Iterator[Column]:
    real = [tag for tag, part in enumerate(node.parts) if not isinstance(part, Missing | Null)]
    if len(real) == 1:
        yield from _columns(node.parts[real[0]], path, _within(valid, node.tags == real[0]))
    elif real:
        there = np.isin(node.tags, real)
        texts = [render(value).decode() for value in values_of(node) if value is not MISSING and value is not None]
        inside = _within(valid, there)
        yield Column(path, Kind.JSON, _spread_strings(strings_of(texts), inside), inside)


def _list(node: Lists | Array, path: tuple[str, ...], valid: Mask) -> Column:
    numbers = _numbers(node)
    if numbers is None:
        texts = [render(value).decode() for value in values_of(node)]
        return Column(path, Kind.JSON, _spread_strings(strings_of(texts), valid), valid)
    lengths, values = numbers
    kind = Kind.INTS if values.dtype == np.int64 else Kind.FLOATS
    return Column(path, kind, values, valid, offsets_of(_spread(lengths, valid)))


def _numbers(node: Lists | Array) -> tuple[NDArray[np.int64], _Values] | None:
    """Lengths and elements of a list of numbers; None for others."""
    if isinstance(node, Lists):
        elements = node.elements
        if isinstance(elements, Ints | Floats):
            return node.lengths, elements.values
        return (node.lengths, np.zeros(0, np.float64)) if elements.count == 0 else None
    items = [item for item in node.items if isinstance(item, Ints | Floats)]
    if len(items) < len(node.items):
        return None
    lengths = np.full(node.count, len(items), np.int64)
    integers = [item.values for item in items if isinstance(item, Ints)]
    if len(integers) == len(items):
        return lengths, np.stack(integers, axis=1).ravel()
    if not all(map(_exact, items)):
        return None
    return lengths, np.stack([item.values.astype(np.float64) for item in items], axis=1).ravel()


def _exact(item: _Numbers) -> bool:
    """Whether doubles hold the numbers."""
    return isinstance(item, Floats) or bool((np.abs(item.values.astype(np.float64)) <= 2.0**53).all())


def _within(valid: Mask, inner: NDArray[np.bool_]) -> Mask:
    """The rows where a value is: `inner` has one entry for each row where `valid`."""
    if valid is None:
        return inner
    result = valid.copy()
    result[valid] = inner
    return result


def _spread(values: NDArray[_T], valid: Mask) -> NDArray[_T]:
    if valid is None:
        return values
    result = np.zeros(len(valid), values.dtype)
    result[valid] = values
    return result


def _spread_strings(strings: Strings, valid: Mask) -> Strings:
    if valid is None:
        return strings
    if strings.codes is not None:
        return Strings(strings.offsets, strings.data, _spread(strings.codes, valid))
    return Strings(offsets_of(_spread(np.diff(strings.offsets), valid)), strings.data)
