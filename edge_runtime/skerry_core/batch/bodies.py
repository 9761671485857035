"""Bodies between JSON text and Python values.

Numbers without fraction and exponent are integers of any size; all others are doubles (RFC 8259, section 6), and 1 and
1.0 stay different. Of a repeated key the last one counts. The order of an object's keys is not kept.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import msgspec

from skerry_core.batch.contents import Row

Bodies: TypeAlias = Sequence[dict[str, Any] | None]

MAX_DEPTH = 64  # of objects and arrays in a body that is read as JSON

_decode = msgspec.json.Decoder(dict[str, Any]).decode
_encode = msgspec.json.Encoder().encode


def parse(body: bytes) -> dict[str, Any] | None:
    """A body's object; None if it is none that can be written again: not JSON, nested too deeply, numbers too large."""
    try:
        value = _decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return None if body.count(b"{") + body.count(b"[") > MAX_DEPTH and depth(value) > MAX_DEPTH else value


def parse_rows(rows: Sequence[Row]) -> Bodies:
    """`parse` of every row's body."""
    return [parse(row.body) for row in rows]


def render(value: Any) -> bytes:
    """The compact JSON of a value."""
    return _encode(value)


def depth(value: Any) -> int:
    """How deeply objects and arrays are nested: 0 for a scalar, 1 for a flat object."""
    levels, level = 0, [value]
    while level := [one for one in level if type(one) in (dict, list)]:
        levels += 1
        level = [child for one in level for child in (one.values() if type(one) is dict else one)]
    return levels
