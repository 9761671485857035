"""Vectors: their exact sum by component, and the last one."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, TypeAlias

import numpy as np

from skerry_core.features.accumulators.exact import UNIT_BITS, add_up, pack_integer, unpack_integer
from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import Column, Groups

Sum: TypeAlias = tuple[int, tuple[int, ...]]


@dataclass(frozen=True)
class VectorSum(Accumulator):
    """Values are (exponent, components): component i of the sum is components[i] * 2^(exponent - 1074), exactly.

    The exponent is the largest with which all components are whole, so that they are short.
    """

    length: int

    def gather(self, column: Column, groups: Groups) -> list[Sum]:
        assert column.values is not None
        values = column.values[groups.rows]
        places = groups.labels[:, None] * self.length + np.arange(self.length)
        size = len(groups.starts)
        sums = add_up(values.ravel(), places.ravel(), size * self.length, power=1)
        return [_canonical(0, tuple(sums[at * self.length : (at + 1) * self.length])) for at in range(size)]

    def merge(self, one: Sum, other: Sum) -> Sum:
        exponent = min(one[0], other[0])
        left, right = one[0] - exponent, other[0] - exponent
        return _canonical(exponent, tuple((a << left) + (b << right) for a, b in zip(one[1], other[1], strict=True)))

    def fold(self, values: Sequence[Sum]) -> Sum:
        exponent = min(each for each, _ in values)
        whole = [[part << each - exponent for part in parts] for each, parts in values]
        return _canonical(exponent, tuple(map(sum, zip(*whole, strict=True))))

    def pack(self, value: Sum) -> list[Any]:
        return [value[0], *(pack_integer(component) for component in value[1])]

    def unpack(self, packed: list[Any]) -> Sum:
        if len(packed) != self.length + 1:
            raise ValueError("a vector of another length")
        return packed[0], tuple(unpack_integer(component) for component in packed[1:])


@dataclass(frozen=True)
class VectorLast(Accumulator):
    """Values are (time in microseconds, vector): the largest in order of components of the newest time."""

    length: int

    def gather(self, column: Column, groups: Groups) -> list[tuple[int, tuple[float, ...]]]:
        assert column.values is not None
        values, time = column.values[groups.rows], groups.time[groups.rows]
        newest = np.maximum.reduceat(time, groups.starts)
        labels = groups.labels
        best: list[tuple[float, ...] | None] = [None] * len(groups.starts)
        for at in np.flatnonzero(time == newest[labels]).tolist():
            label, vector = int(labels[at]), tuple(values[at].tolist())
            held = best[label]
            best[label] = vector if held is None else max(held, vector)
        return [(moment, vector or ()) for moment, vector in zip(newest.tolist(), best, strict=True)]

    def merge(self, one: tuple[int, tuple[float, ...]], other: tuple[int, tuple[float, ...]]) -> Any:
        return max(one, other)

    def pack(self, value: tuple[int, tuple[float, ...]]) -> list[Any]:
        return [value[0], *value[1]]

    def unpack(self, packed: list[Any]) -> tuple[int, tuple[float, ...]]:
        if len(packed) != self.length + 1:
            raise ValueError("a vector of another length")
        return packed[0], tuple(float(component) for component in packed[1:])


def mean(value: Sum, count: int) -> tuple[tuple[int, int], ...]:
    """Each component's mean as a fraction."""
    return tuple((component << value[0], count << UNIT_BITS) for component in value[1])


def _canonical(exponent: int, components: tuple[int, ...]) -> Sum:
    together = reduce(or_, components)
    if not together:
        return 0, components
    zeros = (together & -together).bit_length() - 1
    return exponent + zeros, tuple(component >> zeros for component in components)
