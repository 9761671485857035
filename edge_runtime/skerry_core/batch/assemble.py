"""From columns to rows: the inverse of `shred`."""

from itertools import pairwise
from typing import Any

import msgspec

from skerry_core.batch.bodies import MAX_DEPTH, depth
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
from skerry_core.batch.texts import offsets_of

_parse = msgspec.json.Decoder().decode


def values_of(node: Node) -> list[Any]:  # noqa: C901, PLR0911 - one case a kind of node
    """The values of a node's rows, MISSING where an object lacks the key.

    ValueError, RecursionError or msgspec's errors if a text in it is not UTF-8 or not JSON, or JSON nested too deeply.
    """
    match node:
        case Missing():
            return [MISSING] * node.count
        case Null():
            return [None] * node.count
        case Floats(values=values, whole=whole):
            floats: list[Any] = values.tolist()
            if whole is None:
                return floats
            return [int(value) if one else value for value, one in zip(floats, whole.tolist(), strict=True)]
        case Bools(values=values) | Ints(values=values):
            listed: list[Any] = values.tolist()
            return listed
        case Strings(texts=texts):
            return texts.listed()
        case Json(texts=texts):
            return [_shallow(_parse(text)) for text in texts.listed()]
        case Mixed(tags=tags, parts=parts):
            iterators = [iter(values_of(part)) for part in parts]
            return [next(iterators[tag]) for tag in tags.tolist()]
        case Lists(lengths=lengths, elements=elements):
            flat = values_of(elements)
            return [flat[start:end] for start, end in pairwise(offsets_of(lengths).tolist())]
        case Array(items=items):
            return list(map(list, zip(*map(values_of, items), strict=True)))
        case Object():
            return _objects(node)


def _objects(node: Object) -> list[dict[str, Any]]:
    if not node.members:
        return [{} for _ in range(node.count)]
    keys = [key for key, _ in node.members]
    rows = zip(*(values_of(member) for _, member in node.members), strict=True)
    if not any(_lacks(member) for _, member in node.members):
        return [dict(zip(keys, row, strict=True)) for row in rows]
    return [{key: value for key, value in zip(keys, row, strict=True) if value is not MISSING} for row in rows]


def _lacks(member: Node) -> bool:
    return isinstance(member, Missing) or (isinstance(member, Mixed) and isinstance(member.parts[0], Missing))


def _shallow(value: Any) -> Any:
    if depth(value) > MAX_DEPTH:
        raise ValueError("nested too deeply")
    return value
