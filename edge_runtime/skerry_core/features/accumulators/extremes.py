"""The smallest and the largest value, and the first and the last one."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Floats, Groups


@dataclass(frozen=True)
class Smallest(Accumulator):
    """Values are floats."""

    def gather(self, column: Column, groups: Groups) -> list[float]:
        found: list[float] = np.minimum.reduceat(_values(column)[groups.rows], groups.starts).tolist()
        return found

    def merge(self, one: float, other: float) -> float:
        return min(one, other)

    def fold(self, values: Sequence[float]) -> float:
        return min(values)

    def pack(self, value: float) -> float:
        return value

    def unpack(self, packed: float) -> float:
        return float(packed)


@dataclass(frozen=True)
class Largest(Accumulator):
    """Values are floats."""

    def gather(self, column: Column, groups: Groups) -> list[float]:
        found: list[float] = np.maximum.reduceat(_values(column)[groups.rows], groups.starts).tolist()
        return found

    def merge(self, one: float, other: float) -> float:
        return max(one, other)

    def fold(self, values: Sequence[float]) -> float:
        return max(values)

    def pack(self, value: float) -> float:
        return value

    def unpack(self, packed: float) -> float:
        return float(packed)


@dataclass(frozen=True)
class First(Accumulator):
    """Values are (time in microseconds, value): the smallest of the oldest time, so arrival doesn't break ties."""

    def gather(self, column: Column, groups: Groups) -> list[tuple[int, float]]:
        return _edges(column, groups, last=False)

    def merge(self, one: tuple[int, float], other: tuple[int, float]) -> tuple[int, float]:
        return min(one, other)

    def fold(self, values: Sequence[tuple[int, float]]) -> tuple[int, float]:
        return min(values)

    def pack(self, value: tuple[int, float]) -> tuple[int, float]:
        return value

    def unpack(self, packed: list[float]) -> tuple[int, float]:
        return int(packed[0]), float(packed[1])


@dataclass(frozen=True)
class Last(Accumulator):
    """Values are (time in microseconds, value): the largest of the newest time, so arrival doesn't break ties."""

    def gather(self, column: Column, groups: Groups) -> list[tuple[int, float]]:
        return _edges(column, groups, last=True)

    def merge(self, one: tuple[int, float], other: tuple[int, float]) -> tuple[int, float]:
        return max(one, other)

    def fold(self, values: Sequence[tuple[int, float]]) -> tuple[int, float]:
        return max(values)

    def pack(self, value: tuple[int, float]) -> tuple[int, float]:
        return value

    def unpack(self, packed: list[float]) -> tuple[int, float]:
        return int(packed[0]), float(packed[1])


def _edges(column: Column, groups: Groups, *, last: bool) -> list[tuple[int, float]]:
    time, values = groups.time[groups.rows], _values(column)[groups.rows]
    order = np.lexsort((values, time, groups.labels))
    ends = groups.starts + groups.sizes - 1 if last else groups.starts
    at = order[ends]
    return list(zip(time[at].tolist(), values[at].tolist(), strict=True))


def _values(column: Column) -> Floats:
    assert column.values is not None
    return column.values
