"""How many events, and when the newest of them happened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups


@dataclass(frozen=True)
class Tally(Accumulator):
    """Values are (count, time of the newest in microseconds). Every column has one, or the other kind."""

    def gather(self, column: Column, groups: Groups) -> list[tuple[int, int]]:  # noqa: ARG002 - of the groups alone
        newest = np.maximum.reduceat(groups.time[groups.rows], groups.starts)
        return list(zip(groups.sizes.tolist(), newest.tolist(), strict=True))

    def merge(self, one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
        return one[0] + other[0], max(one[1], other[1])

    def fold(self, values: Sequence[tuple[int, int]]) -> tuple[int, int]:
        counts, times = zip(*values, strict=True)
        return sum(counts), max(times)

    def pack(self, value: tuple[int, int]) -> tuple[int, int]:
        return value

    def unpack(self, packed: list[int]) -> tuple[int, int]:
        return packed[0], packed[1]


@dataclass(frozen=True)
class DerivedTally(Accumulator):
    """Of a column that is derived from reference data: (count, time of the newest, latest `as_of` of the column)."""

    def gather(self, column: Column, groups: Groups) -> list[tuple[int, int, int]]:
        assert column.as_of is not None
        latest = np.maximum.reduceat(column.as_of[groups.rows], groups.starts)
        tallies = Tally().gather(column, groups)
        return [(*tally, as_of) for tally, as_of in zip(tallies, latest.tolist(), strict=True)]

    def merge(self, one: tuple[int, int, int], other: tuple[int, int, int]) -> tuple[int, int, int]:
        return one[0] + other[0], max(one[1], other[1]), max(one[2], other[2])

    def fold(self, values: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
        counts, times, latest = zip(*values, strict=True)
        return sum(counts), max(times), max(latest)

    def pack(self, value: tuple[int, int, int]) -> tuple[int, int, int]:
        return value

    def unpack(self, packed: list[int]) -> tuple[int, int, int]:
        """Also of a state in which reference data had no time: then they were right for ever."""
        return packed[0], packed[1], packed[2] if len(packed) > 2 else packed[1]  # noqa: PLR2004
