"""How many events, and when the newest of them happened."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups


@dataclass(frozen=True)
class Tally(Accumulator):
    """Values are (count, time of the newest in microseconds). Every column has one."""

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
