"""An entity's key: what its state is found by."""

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

MAX_KEY_BYTES = 400
"""What LMDB takes as a key (511 bytes), less room for a prefix."""

Part: TypeAlias = str | int
KEY_TYPE = str | int | None

_encode = msgspec.json.Encoder().encode


def entity_key(parts: Sequence[Part | None]) -> bytes:
    """Parts in the order of the set's entities, as a JSON array of texts: `["north","7"]`.

    An integer is the same as its decimal text, so it doesn't matter as which of them a client sends a key. ValueError
    with a CamelCase reason: EntityMissing, EntityInvalid, EntityTooLong.
    """
    for part in parts:
        if part is None:
            raise ValueError("EntityMissing")
        if isinstance(part, bool) or not isinstance(part, str | int):
            raise ValueError("EntityInvalid")  # noqa: TRY004 - of a value from outside
        # Such an integer takes quadratic time to write down, and none such is a key.
        if isinstance(part, int) and part.bit_length() > MAX_KEY_BYTES * 3:
            raise ValueError("EntityTooLong")
    key = _encode([str(part) for part in parts])
    if len(key) > MAX_KEY_BYTES:
        raise ValueError("EntityTooLong")
    return key


def entity_parts(key: bytes) -> tuple[str, ...]:
    """The parts of a key, as texts."""
    return tuple(msgspec.json.decode(key, type=list[str]))
