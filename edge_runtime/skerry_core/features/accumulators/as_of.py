"""How far what is derived from reference data is up to date."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups


@dataclass(frozen=True)
class AsOf(Accumulator):
    """Values are times in microseconds, the latest of the column's."""

    def gather(self, column: Column, groups: Groups) -> list[int]:
        assert column.as_of is not None
        latest: list[int] = np.maximum.reduceat(column.as_of[groups.rows], groups.starts).tolist()
        return latest

    def merge(self, one: int, other: int) -> int:
        return max(one, other)

    def fold(self, values: Sequence[int]) -> int:
        return max(values)

    def pack(self, value: int) -> int:
        return value

    def unpack(self, packed: int) -> int:
        return int(packed)
