"""Counts: by the buckets of a histogram, and by value for the most frequent ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups

MAX_VALUES = 512
"""Different values that are counted; of more than that, those with the smallest hashes: a fair sample of them."""

Common: TypeAlias = tuple[bool, Mapping[int, int]]


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
    """Values are (whether some were left out, count by hash of value). What is counted is counted exactly.

    Which values are left out depends on which there are, not on their order: one that was left out has MAX_VALUES
    smaller hashes before it, and keeps having them.
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
        return [_bounded(truncated=False, counts=counts) for counts in found]

    def merge(self, one: Common, other: Common) -> Common:
        merged = dict(one[1])
        for value, count in other[1].items():
            merged[value] = merged.get(value, 0) + count
        return _bounded(truncated=one[0] or other[0], counts=merged)

    def fold(self, values: Sequence[Common]) -> Common:
        merged: dict[int, int] = {}
        for _, counts in values:
            for value, count in counts.items():
                merged[value] = merged.get(value, 0) + count
        return _bounded(truncated=any(truncated for truncated, _ in values), counts=merged)

    def pack(self, value: Common) -> list[int]:
        packed = [int(value[0])]
        for key in sorted(value[1]):
            packed += (key, value[1][key])
        return packed

    def unpack(self, packed: list[int]) -> Common:
        return bool(packed[0]), dict(zip(packed[1::2], packed[2::2], strict=True))


def largest(value: Common, k: int) -> tuple[float, ...]:
    """The k largest counts, largest first; zeros where there are fewer different values."""
    counts = sorted(value[1].values(), reverse=True)[:k]
    return tuple(float(count) for count in counts) + (0.0,) * (k - len(counts))


def _bounded(*, truncated: bool, counts: dict[int, int]) -> Common:
    if len(counts) <= MAX_VALUES:
        return truncated, counts
    return True, {value: counts[value] for value in sorted(counts)[:MAX_VALUES]}
