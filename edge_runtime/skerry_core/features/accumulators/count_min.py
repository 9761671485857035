"""Counts of more values than are kept by value: a count-min sketch, the sum of what each event adds to it.

Cormode, Muthukrishnan: "An improved data stream summary: the count-min sketch and its applications", Journal of
Algorithms 55, 2005: in each of ROWS rows of WIDTH counters a value counts in the one that the row's hash says, and its
count is at most the least of its counters. That is never too low, and of N events too high by more than e / WIDTH * N
(0.27 %) with probability at most e^-ROWS (1.8 %). What the sketch is depends on the events alone, not on their order.

The paper finds the largest counts by values that are kept beside the sketch, which would depend on the order. Here the
rows hash a code of 14 bits, the first of a value's identity, so all codes can be asked. The price is that values of one
code count as one (two values with probability 2^-14), and that a code may seem large which nobody has, if larger ones
are in all its counters: with ten large counts one is there with probability 0.02 %, with a hundred about 1.5 are.

A row's hash is multiply-add-shift, pairwise independent as the bound asks for: Dietzfelbinger, "Universal hashing and
k-wise independent random variables via integer arithmetic without primes", STACS 1996.
"""

from collections.abc import Mapping
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

ROWS = 4
WIDTH = 1024
MOST = (1 << 53) - 1
"""Counters stay there: beyond it a float64, as which a feature is told, doesn't count every whole number."""

_CODE_BITS = 14
_WIDTH_BITS = WIDTH.bit_length() - 1
# Packed, a byte holds 7 bits of a counter, and whether another one follows. MOST takes 8 of them.
_FOLLOWS = 128
_MAX_BYTES = 8


def _row(number: int) -> NDArray[np.int64]:
    """Counter of each code in a row."""
    seed = np.frombuffer(blake2b(b"count-min %d" % number, digest_size=16).digest(), ">u8").astype(np.uint64)
    codes = np.arange(1 << _CODE_BITS, dtype=np.uint64)
    hashed: NDArray[np.uint64] = seed[0] * codes + seed[1] >> np.uint64(64 - _WIDTH_BITS)
    return hashed.astype(np.int64)


_COUNTERS = [_row(number) for number in range(ROWS)]


def sketch(counts: Mapping[int, int]) -> bytes:
    """The sketch of counts by identity (64 bits): ROWS * WIDTH counters of 8 bytes, least byte first."""
    codes = np.array([identity >> (64 - _CODE_BITS) for identity in counts], dtype=np.int64)
    # Sums of floats are exact up to MOST, and which ones are larger doesn't matter.
    weights = np.array([min(count, MOST) for count in counts.values()], dtype=np.float64)
    sums = [np.bincount(counters[codes], weights, WIDTH) for counters in _COUNTERS]
    return np.minimum(np.concatenate(sums), MOST).astype("<i8").tobytes()


def add(one: bytes, other: bytes) -> bytes:
    """The sketch of the events of both."""
    counters: NDArray[np.int64] = np.minimum(np.frombuffer(one, "<i8") + np.frombuffer(other, "<i8"), MOST)
    return counters.tobytes()


def largest(counters: bytes, k: int) -> list[int]:
    """The k largest counts, largest first, as far as they can be told apart."""
    rows = np.frombuffer(counters, "<i8").reshape(ROWS, WIDTH)
    counts = np.minimum.reduce([row[places] for row, places in zip(rows, _COUNTERS, strict=True)])
    found: list[int] = np.sort(counts)[: -k - 1 : -1].tolist()
    return found


def pack(counters: bytes) -> bytes:
    """Each counter in as few bytes as hold it, the low bits first."""
    groups = np.frombuffer(counters, "<i8")[:, None] >> (7 * np.arange(_MAX_BYTES))
    needed = groups > 0
    needed[:, 0] = True
    follows = np.zeros_like(needed)
    follows[:, :-1] = needed[:, 1:]
    return (groups % _FOLLOWS + follows * _FOLLOWS)[needed].astype(np.uint8).tobytes()


def unpack(packed: bytes) -> bytes:
    """What `pack` was given; ValueError for what is no sketch."""
    data = np.frombuffer(packed, np.uint8).astype(np.int64)
    ends = np.flatnonzero(data < _FOLLOWS)
    if len(ends) != ROWS * WIDTH or ends[-1] != len(data) - 1:
        raise ValueError("not all counters are there")
    starts = np.concatenate(([0], ends[:-1] + 1))
    lengths = ends - starts + 1
    if lengths.max() > _MAX_BYTES:
        raise ValueError("a counter is too large")
    shifts = 7 * (np.arange(len(data)) - np.repeat(starts, lengths))
    counters = np.add.reduceat(data % _FOLLOWS << shifts, starts)
    if counters.max() > MOST:
        raise ValueError("a counter is too large")
    return counters.astype("<i8").tobytes()
