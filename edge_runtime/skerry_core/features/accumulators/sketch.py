"""Quantiles within one percent, out of counts by bucket.

A DDSketch (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
VLDB 2019) with its authors' linearly interpolated mapping: each octave is cut into 50 buckets of equal width, so a
bucket's bounds differ by at most 2 %, and 2ab / (a + b) is within 1 % of all values between a and b. Buckets come out
of mantissa and exponent, not of a logarithm, whose last bit differs between machines.

More than MAX_BUCKETS are taken together by twos, and so on (Epicoco et al.: "UDDSketch: accurate tracking of quantiles
in data streams", 2020): how often depends on the values alone, not on their order. Within one percent fit values over
six decades.
"""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups

MAX_BUCKETS = 1024
_PER_OCTAVE = 50
# The smallest float64 is 2^-1074: there bucket 1 begins.
_LOWEST = -1074
_SPAN = 1 << 18

Counts: TypeAlias = Mapping[int, int]
Value: TypeAlias = tuple[int, Counts]


@dataclass(frozen=True)
class Sketch(Accumulator):
    """Values are (times halved, count by bucket). Bucket 0 is zero; negative values mirror the positive ones."""

    def gather(self, column: Column, groups: Groups) -> list[Value]:
        assert column.values is not None
        values = column.values[groups.rows]
        fractions, exponents = np.frexp(np.abs(values))
        inner = np.minimum(np.floor((2 * fractions - 1) * _PER_OCTAVE), _PER_OCTAVE - 1).astype(np.int64)
        buckets = (exponents.astype(np.int64) - 1 - _LOWEST) * _PER_OCTAVE + inner + 1
        buckets = np.sign(values).astype(np.int64) * buckets
        keys, counts = np.unique(groups.labels * (2 * _SPAN) + buckets + _SPAN, return_counts=True)
        found: list[dict[int, int]] = [{} for _ in groups.starts]
        for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
            label, bucket = divmod(key, 2 * _SPAN)
            found[label][bucket - _SPAN] = count
        return [_bounded(0, counts) for counts in found]

    def merge(self, one: Value, other: Value) -> Value:
        halved = max(one[0], other[0])
        merged = dict(_halve(one[1], halved - one[0]))
        for bucket, count in _halve(other[1], halved - other[0]).items():
            merged[bucket] = merged.get(bucket, 0) + count
        return _bounded(halved, merged)

    def fold(self, values: Sequence[Value]) -> Value:
        # How often all are halved depends on all buckets together: to see to it once is the same.
        halved = max(times for times, _ in values)
        merged: dict[int, int] = {}
        for times, counts in values:
            for bucket, count in _halve(counts, halved - times).items():
                merged[bucket] = merged.get(bucket, 0) + count
        return _bounded(halved, merged)

    def pack(self, value: Value) -> list[int]:
        packed = [value[0]]
        for bucket in sorted(value[1]):
            packed += (bucket, value[1][bucket])
        return packed

    def unpack(self, packed: list[int]) -> Value:
        return packed[0], dict(zip(packed[1::2], packed[2::2], strict=True))


def quantile(value: Value, q: float) -> float:
    """The lower q-quantile (rank floor(q * (n - 1))), within 1 % unless buckets had to be taken together."""
    halved, counts = value
    rank = math.floor(q * (sum(counts.values()) - 1))
    for bucket in sorted(counts):
        rank -= counts[bucket]
        if rank < 0:
            return _representative(bucket, halved)
    raise AssertionError("a rank is below the count")


def buckets(value: Value) -> list[tuple[float, int]]:
    """Each bucket in order: a value within 1 % of all in it, unless buckets had to be taken together; and its count."""
    halved, counts = value
    return [(_representative(bucket, halved), counts[bucket]) for bucket in sorted(counts)]


def _bounded(halved: int, counts: Counts) -> Value:
    while len(counts) > MAX_BUCKETS:
        counts = _halve(counts, 1)
        halved += 1
    return halved, counts


def _halve(counts: Counts, times: int) -> Counts:
    """Buckets taken together by 2^times, away from zero, which stays its own."""
    if not times:
        return counts
    merged: dict[int, int] = {}
    for bucket, count in counts.items():
        size = (abs(bucket) - 1 >> times) + 1
        coarse = 0 if not bucket else size if bucket > 0 else -size
        merged[coarse] = merged.get(coarse, 0) + count
    return merged


def _representative(bucket: int, halved: int) -> float:
    """Computed at the lower bound's exponent, so that the ends of the range of floats are like the rest."""
    if not bucket:
        return 0.0
    first = abs(bucket) - 1 << halved
    octave, inner = divmod(first, _PER_OCTAVE)
    octaves, outer = divmod(first + (1 << halved), _PER_OCTAVE)
    low, high = 1 + inner / _PER_OCTAVE, math.ldexp(1 + outer / _PER_OCTAVE, octaves - octave)
    try:
        size = math.ldexp(2 * low * high / (low + high), octave + _LOWEST)
    except OverflowError:
        size = sys.float_info.max
    return math.copysign(size, bucket)
