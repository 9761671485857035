"""Doubles as integers that predict well: scaled decimals, scaled binary fractions, or their bits in numeric order.

What was written with few decimals comes back exactly when divided by the same power of ten, because IEEE 754 rounds a
quotient correctly (the idea of ALP: Afroozeh et al., SIGMOD 2023); sums of such numbers miss by a few units in the last
place, which are counted. Differences of clock readings are whole multiples of a power of two.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Int64s = NDArray[np.int64]

MAX_PLACES = 18
_EXACT = 2.0**53
_SAMPLE = 64
_MOST = 4  # all but one in so many
_MANTISSA = 53
_MAX_BITS = 62


@dataclass(frozen=True, slots=True)
class Decimals:
    """Value i is the double `ulps[i]` units in the last place above numbers[i] / 10**places."""

    places: int
    numbers: Int64s
    ulps: Int64s


def as_decimals(values: Doubles, few: int = 16, near: int = 4096) -> Decimals | None:
    """Values as integers over a power of ten: the smallest that all but one in `few` of a sample meet exactly.

    If none does, the smallest that most of them meet within `near` units in the last place; None if there is none.
    """
    sample = values[:: len(values) // _SAMPLE + 1]
    misses = []
    for places in range(MAX_PLACES + 1):
        misses.append(np.abs(_decimals(sample, places).ulps))
        if np.count_nonzero(misses[-1]) * few <= len(sample):
            return _decimals(values, places)
    for places, ulps in enumerate(misses):
        if np.count_nonzero(ulps > near) * _MOST <= len(sample):
            return _decimals(values, places)
    return None


def from_decimals(decimals: Decimals) -> Doubles:
    """The inverse of `as_decimals`."""
    nearest = decimals.numbers.astype(np.float64) / 10.0**decimals.places
    return _from_ordered(_ordered(nearest) + decimals.ulps) if decimals.ulps.any() else nearest


def _decimals(values: Doubles, places: int) -> Decimals:
    with np.errstate(over="ignore"):
        scaled = np.rint(values * 10.0**places)
    scaled[np.abs(scaled) >= _EXACT] = 0
    # Adding 0.0 turns -0.0, which integers lack, into 0.0: it is then one unit off.
    ulps = _ordered(values) - _ordered(scaled / 10.0**places + 0.0)
    return Decimals(places, scaled.astype(np.int64), ulps)


def as_binary(values: Doubles) -> tuple[int, Int64s] | None:
    """(places, integers), value = integer * 2**-places; None if integers of 62 bits can't hold that, or for -0.0."""
    if ((values == 0) & np.signbit(values)).any():
        return None
    fractions, exponents = np.frexp(values)
    mantissas = np.ldexp(fractions, _MANTISSA).astype(np.int64)
    exponents = exponents.astype(np.int64) - _MANTISSA
    some = mantissas != 0
    if not some.any():
        return 0, mantissas
    places = -int((exponents[some] + _trailing_zeros(mantissas[some])).min())
    if int(exponents[some].max()) + _MANTISSA + places > _MAX_BITS:
        return None
    shifts = np.where(some, exponents + places, 0)
    return places, mantissas << np.maximum(shifts, 0) >> np.maximum(-shifts, 0)


def from_binary(integers: Int64s, places: int) -> Doubles:
    """The inverse of `as_binary`."""
    return np.ldexp(integers.astype(np.float64), -places)


def as_bits(values: Doubles) -> tuple[int, Int64s]:
    """(low, integers): IEEE 754 bits in the order of the numbers, without the `low` last ones, zero in all."""
    bits = values.view(np.int64)
    low = int(_trailing_zeros(np.bitwise_or.reduce(bits, keepdims=True))[0]) if len(bits) else 0
    return low, _in_order(bits >> low, low)


def from_bits(integers: Int64s, low: int) -> Doubles:
    """The inverse of `as_bits`."""
    return (_in_order(integers, low) << low).view(np.float64)


def _in_order(bits: Int64s, low: int = 0) -> Int64s:
    """Flip a negative number's other bits, so that integers compare as the doubles do; its own inverse."""
    return bits ^ ((bits >> 63) & np.int64(2 ** (63 - low) - 1))


def _ordered(values: Doubles) -> Int64s:
    return _in_order(values.view(np.int64))


def _from_ordered(integers: Int64s) -> Doubles:
    return _in_order(integers).view(np.float64)


def _trailing_zeros(values: Int64s) -> Int64s:
    """Zero bits at the end, 63 at most; 0 for 0."""
    lowest = np.abs((values & -values).astype(np.float64))  # a power of two, so exact
    return np.where(values == 0, 0, np.frexp(lowest)[1] - 1).astype(np.int64)
