"""Hashes that tell values apart, the same on every machine: 64 bits of BLAKE2b over a canonical form."""

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray


def hashes(values: Sequence[Any]) -> NDArray[np.uint64]:
    """uint64 [n]; of what is no text, number or boolean it is 0, and such rows don't count."""
    known: dict[tuple[type, Any], int] = {}
    found = []
    for value in values:
        key = (type(value), value if value.__hash__ else None)
        made = known.get(key)
        if made is None:
            made = known[key] = hash_of(value)
        found.append(made)
    return np.array(found, dtype=np.uint64)


def hash_of(value: Any) -> int:
    """Hash of one value. A whole number is the same as an integer and as a float."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    match value:
        case bool():
            form = b"b1" if value else b"b0"
        case str():
            form = b"s" + value.encode("utf-8", "surrogatepass")
        case int():
            form = b"i%d" % value
        case float():
            form = b"f" + struct.pack(">d", value)
        case _:
            return 0
    return int.from_bytes(blake2b(form, digest_size=8).digest(), "big")
