"""Exact sums of floats and of their squares, as integers in units so small that no float needs smaller ones.

Every finite float64 is a whole multiple of 2^-1074, and its square of 2^-2148. Integers add up without rounding, so the
order doesn't matter, and a result is rounded once, when it is read. Groups are summed by numpy: a mantissa of 53 bits
is cut into limbs of 27, which int64 can add up by the million.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Floats, Groups, Integers

UNIT_BITS = 1074
_LIMB = 27
_LOW = (1 << _LIMB) - 1
# Exponents are taken together by fours: a limb shifted by three, or six in a square, still leaves 30 bits for adding.
_BIN = 4
_INT64 = range(-(1 << 63), 1 << 63)


class _Exact(Accumulator):
    """Sums of values to a power."""

    power: ClassVar[int]

    def gather(self, column: Column, groups: Groups) -> list[int]:
        return add_up(_values(column, groups), groups.labels, len(groups.starts), power=self.power)

    def merge(self, one: int, other: int) -> int:
        return one + other

    def fold(self, values: Sequence[int]) -> int:
        return sum(values)

    def pack(self, value: int) -> list[int | bytes]:
        return pack_integer(value)

    def unpack(self, packed: list[int | bytes]) -> int:
        return unpack_integer(packed)


@dataclass(frozen=True)
class ExactSum(_Exact):
    """Values are integers: the sum in units of 2^-1074."""

    power: ClassVar[int] = 1


@dataclass(frozen=True)
class ExactSquares(_Exact):
    """Values are integers: the sum of squares in units of 2^-2148."""

    power: ClassVar[int] = 2


def pack_integer(value: int) -> list[int | bytes]:
    """Binary exponent and odd mantissa, which mostly fits 64 bits; otherwise it is bytes, big-endian and signed."""
    if not value:
        return [0, 0]
    exponent = (value & -value).bit_length() - 1
    mantissa = value >> exponent
    if mantissa in _INT64:
        return [exponent, mantissa]
    return [exponent, mantissa.to_bytes(mantissa.bit_length() // 8 + 1, "big", signed=True)]


def unpack_integer(packed: list[int | bytes]) -> int:
    """What `pack_integer` packed."""
    exponent, mantissa = packed
    if isinstance(mantissa, bytes):
        mantissa = int.from_bytes(mantissa, "big", signed=True)
    return mantissa << int(exponent)


def split(values: Floats) -> tuple[Integers, Integers]:
    """Mantissas (signed, 53 bits) and exponents in units of 2^-1074: value = mantissa * 2^(exponent - 1074)."""
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, 53).astype(np.int64)
    shifts = exponents.astype(np.int64) + (UNIT_BITS - 53)
    # Subnormal numbers: their mantissas end in zeros, which the unit has no room for.
    below = np.minimum(shifts, 0)
    return mantissas >> -below, shifts - below


def _values(column: Column, groups: Groups) -> Floats:
    assert column.values is not None
    return np.asarray(column.values[groups.rows], dtype=np.float64)


def add_up(values: Floats, labels: Integers, size: int, *, power: int) -> list[int]:
    """Exact sums of values, or of their squares, by label in 0..size-1: in units of 2^-1074, or of 2^-2148."""
    mantissas, exponents = split(values)
    bins, rest = np.divmod(exponents, _BIN)
    key = labels * 1024 + bins
    order = np.argsort(key, kind="stable")
    key = key[order]
    starts = np.flatnonzero(np.concatenate(([True], key[1:] != key[:-1])))
    limbs = _limbs(mantissas[order], power)
    shift = rest[order] * power
    totals = [(np.add.reduceat(limb << shift, starts).tolist(), place) for limb, place in limbs]
    sums = [0] * size
    where = zip((key[starts] // 1024).tolist(), (key[starts] % 1024).tolist(), strict=True)
    for i, (label, exponent) in enumerate(where):
        total = 0
        for limb, place in totals:
            total += limb[i] << place
        sums[label] += total << (exponent * _BIN * power)
    return sums


def _limbs(mantissas: Integers, power: int) -> list[tuple[Integers, int]]:
    """Mantissas, or their squares, as limbs below 2^27 in magnitude, each with the place of its lowest bit."""
    if power == 1:
        return [(mantissas & _LOW, 0), (mantissas >> _LIMB, _LIMB)]
    size = np.abs(mantissas)
    low, high = size & _LOW, size >> _LIMB
    limbs = []
    for product, place in ((low * low, 0), (low * high, _LIMB + 1), (high * high, 2 * _LIMB)):
        limbs += [(product & _LOW, place), (product >> _LIMB, place + _LIMB)]
    return limbs
