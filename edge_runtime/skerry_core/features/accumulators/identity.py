"""Hashes that tell values apart, the same on every machine: 64 bits of BLAKE2b over a canonical form."""

import math
import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry_core.features.columns import Mask


def hashes(values: Sequence[Any]) -> tuple[NDArray[np.uint64], Mask | None]:
    """Hashes, uint64 [n], and which rows have one (None: all): those with a text, a boolean or a finite number."""
    known: dict[tuple[type, Any], int | None] = {}
    found: list[int | None] = []
    for value in values:
        if not isinstance(value, str | int | float):
            found.append(None)
            continue
        key = (type(value), value)
        if key not in known:
            known[key] = hash_of(value)
        found.append(known[key])
    if None not in found:
        return np.array(found, dtype=np.uint64), None
    present = np.array([made is not None for made in found], dtype=np.bool_)
    return np.array([made or 0 for made in found], dtype=np.uint64), present


def hash_of(value: str | float) -> int | None:
    """Hash of one value, None if it isn't finite. A whole number is the same as an integer and as a float."""
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        form = b"i%d" % int(value) if value.is_integer() else b"f" + struct.pack(">d", value)
    elif isinstance(value, str):
        form = b"s" + value.encode()
    else:
        form = (b"b%d" if isinstance(value, bool) else b"i%d") % value
    return int.from_bytes(blake2b(form, digest_size=8).digest(), "big")
