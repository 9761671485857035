"""Counts: by the buckets of a histogram, and by value for the most frequent ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any, TypeAlias

import numpy as np

from skerry_core.features.accumulators import count_min
from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups

MAX_VALUES = 512
"""Different values that are counted one by one."""

# 1 says that values were left out, as was done before there was a sketch; what is there was counted one by one.
_EXACT = 0
_SKETCH = 2

Common: TypeAlias = Mapping[int, int] | bytes


@dataclass(frozen=True)
class Buckets(Accumulator):
    """Values are len(bounds) + 1 counts; a value belongs to the first bound that reaches as high."""

    bounds: tuple[float, ...]

    def gather(self, column: Column, groups: Groups) -> list[tuple[int, ...]]:
        assert column.values is not None
        width = len(self.bounds) + 1
        bucket = np.searchsorted(np.array(self.bounds), column.values[groups.rows], side="left")
        size = len(groups.starts)
        counts = np.bincount(groups.labels * width + bucket, minlength=size * width).reshape(size, width)
        return [tuple(row) for row in counts.tolist()]

    def merge(self, one: tuple[int, ...], other: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(a + b for a, b in zip(one, other, strict=True))

    def fold(self, values: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
        return tuple(map(sum, zip(*values, strict=True)))

    def pack(self, value: tuple[int, ...]) -> tuple[int, ...]:
        return value

    def unpack(self, packed: list[int]) -> tuple[int, ...]:
        if len(packed) != len(self.bounds) + 1:
            raise ValueError("a histogram has one count more than bounds")
        return tuple(packed)


@dataclass(frozen=True)
class ByValue(Accumulator):
    """Values are counts by hash of value, exact; of more than MAX_VALUES different ones a count-min sketch of them.

    Which of both depends on how many there are, and a sketch is a sum: neither order nor batching makes a difference.
    """

    def gather(self, column: Column, groups: Groups) -> list[Common]:
        assert column.values is not None
        labels, hashes = groups.labels, column.values[groups.rows]
        order = np.lexsort((hashes, labels))
        labels, hashes = labels[order], hashes[order]
        starts = np.flatnonzero(
            np.concatenate(([True], (labels[1:] != labels[:-1]) | (hashes[1:] != hashes[:-1]))),
        )
        counts = np.diff(starts, append=len(order))
        found: list[dict[int, int]] = [{} for _ in groups.starts]
        for label, value, count in zip(labels[starts].tolist(), hashes[starts].tolist(), counts.tolist(), strict=True):
            found[label][value] = count
        return [_bounded(counts) for counts in found]

    def merge(self, one: Common, other: Common) -> Common:
        return self.fold((one, other))

    def fold(self, values: Sequence[Common]) -> Common:
        merged: dict[int, int] = {}
        sketches: list[bytes] = []
        for value in values:
            if isinstance(value, bytes):
                sketches.append(value)
                continue
            for identity, count in value.items():
                merged[identity] = merged.get(identity, 0) + count
        if not sketches:
            return _bounded(merged)
        if merged:
            sketches.append(count_min.sketch(merged))
        return reduce(count_min.add, sketches)

    def pack(self, value: Common) -> list[int | bytes]:
        if isinstance(value, bytes):
            return [_SKETCH, count_min.pack(value)]
        packed: list[int | bytes] = [_EXACT]
        for identity in sorted(value):
            packed += (identity, value[identity])
        return packed

    def unpack(self, packed: list[Any]) -> Common:
        if packed[0] == _SKETCH:
            _, counters = packed
            return count_min.unpack(counters)
        return dict(zip(packed[1::2], packed[2::2], strict=True))


def largest(value: Common, k: int) -> tuple[float, ...]:
    """The k largest counts, largest first; zeros where there are fewer different values. Estimated out of a sketch."""
    counts = count_min.largest(value, k) if isinstance(value, bytes) else sorted(value.values(), reverse=True)[:k]
    return tuple(float(count) for count in counts) + (0.0,) * (k - len(counts))


def _bounded(counts: dict[int, int]) -> Common:
    return counts if len(counts) <= MAX_VALUES else count_min.sketch(counts)
