"""What each aggregation makes of a window. Sums are exact, so each result is rounded once, from the true value."""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from skerry_core.features.accumulators.counts import largest
from skerry_core.features.accumulators.distinct import estimate
from skerry_core.features.accumulators.exact import UNIT_BITS
from skerry_core.features.accumulators.sketch import quantile
from skerry_core.features.accumulators.vectors import mean
from skerry_core.features.definition import Aggregation
from skerry_core.features.plan import FeaturePlan, Slot
from skerry_core.features.state import Pane

_UNIT = 1 << UNIT_BITS
_SECOND = 1_000_000
_LARGEST = sys.float_info.max

Value: TypeAlias = float | tuple[float, ...]


class Window:
    """The panes of one window in the order of time, by number."""

    def __init__(self, slots: Sequence[Slot], panes: Sequence[tuple[int, Pane]]) -> None:
        self._slots = slots
        self._merged: dict[int, Any] = {}
        self.panes = panes

    def merged(self, slot: int) -> Any:
        """One slot of all panes together, None if nothing counted. Shared by the features of the window."""
        if slot not in self._merged:
            held = [pane[slot] for _, pane in self.panes if pane[slot] is not None]
            self._merged[slot] = self._slots[slot].accumulator.fold(held) if held else None
        return self._merged[slot]


def value_of(plan: FeaturePlan, window: Window, now: int) -> Value:
    """The value of a feature in a window in which at least one event counts."""
    return _RULES[plan.rule](plan, window, now)


def quotient(numerator: int, denominator: int) -> float:
    """The float nearest to a fraction; beyond all floats the largest, with its sign."""
    try:
        return numerator / denominator
    except OverflowError:
        return _LARGEST if numerator > 0 else -_LARGEST


def deviation(count: int, total: int, squares: int) -> float:
    """Standard deviation of a population: the float nearest to sqrt(n * sum(x^2) - sum(x)^2) / n.

    `total` is in units of 2^-1074, `squares` in units of 2^-2148. The root is taken of integers, with enough bits that
    what is cut off can't be half a unit in the last place of the result; that it is not zero is kept as a last bit.
    """
    radicand = count * squares - total * total
    if radicand <= 0:
        return 0.0
    # An even number of zeros at the end is only a unit.
    zeros = ((radicand & -radicand).bit_length() - 1) // 2
    radicand >>= 2 * zeros
    bits = max(0, 60 + count.bit_length() - radicand.bit_length() // 2)
    radicand <<= 2 * bits
    root = math.isqrt(radicand)
    root = root << 1 | (root * root != radicand)
    shift = zeros - bits - 1 - UNIT_BITS
    return quotient(root << shift, count) if shift >= 0 else quotient(root, count << -shift)


def _ewma(plan: FeaturePlan, window: Window, _: int) -> float:
    """Mean in which a pane's values count a half after each half-life: `weights[i]`, i panes before the newest.

    Only the ratios of weights matter, so the newest pane that has any is as good as the one that is running.
    """
    tally, slot = plan.slots
    panes = [(number, pane[tally][0], pane[slot]) for number, pane in window.panes if pane[tally] is not None]
    newest = panes[-1][0]
    numerator = denominator = 0
    for number, count, total in panes:
        weight = plan.whole_weights[newest - number]
        numerator += weight * total
        denominator += weight * count
    return quotient(numerator, denominator << UNIT_BITS)


def _count(plan: FeaturePlan, window: Window, _: int) -> float:
    return float(window.merged(plan.slots[0])[0])


def _rate(plan: FeaturePlan, window: Window, _: int) -> float:
    return quotient(window.merged(plan.slots[0])[0] * _SECOND, plan.size)


def _health(plan: FeaturePlan, window: Window, _: int) -> float:
    return min(1.0, quotient(window.merged(plan.slots[0])[0] * plan.interval, plan.size))


def _recency(plan: FeaturePlan, window: Window, now: int) -> float:
    return quotient(max(0, now - window.merged(plan.slots[0])[1]), _SECOND)


def _sum(plan: FeaturePlan, window: Window, _: int) -> float:
    return quotient(window.merged(plan.slots[1]), _UNIT)


def _mean(plan: FeaturePlan, window: Window, _: int) -> float:
    return quotient(window.merged(plan.slots[1]), window.merged(plan.slots[0])[0] << UNIT_BITS)


def _std(plan: FeaturePlan, window: Window, _: int) -> float:
    tally, total, squares = plan.slots
    return deviation(window.merged(tally)[0], window.merged(total), window.merged(squares))


def _extreme(plan: FeaturePlan, window: Window, _: int) -> float:
    value: float = window.merged(plan.slots[1])
    return value


def _edge(plan: FeaturePlan, window: Window, _: int) -> Value:
    value: Value = window.merged(plan.slots[1])[1]
    return value


def _quantile(plan: FeaturePlan, window: Window, _: int) -> float:
    assert plan.feature.quantile is not None
    return quantile(window.merged(plan.slots[1]), plan.feature.quantile)


def _distinct(plan: FeaturePlan, window: Window, _: int) -> float:
    return estimate(window.merged(plan.slots[1]))


def _histogram(plan: FeaturePlan, window: Window, _: int) -> Value:
    return tuple(float(count) for count in window.merged(plan.slots[1]))


def _top(plan: FeaturePlan, window: Window, _: int) -> Value:
    return largest(window.merged(plan.slots[1]), plan.width)


def _vector_mean(plan: FeaturePlan, window: Window, _: int) -> Value:
    tally, total = plan.slots
    return tuple(quotient(*part) for part in mean(window.merged(total), window.merged(tally)[0]))


_RULES: Mapping[str, Callable[[FeaturePlan, Window, int], Value]] = {
    Aggregation.COUNT.value: _count,
    Aggregation.SUM.value: _sum,
    Aggregation.MEAN.value: _mean,
    Aggregation.MIN.value: _extreme,
    Aggregation.MAX.value: _extreme,
    Aggregation.STD.value: _std,
    Aggregation.LAST.value: _edge,
    Aggregation.FIRST.value: _edge,
    Aggregation.RECENCY.value: _recency,
    Aggregation.RATE.value: _rate,
    Aggregation.EWMA.value: _ewma,
    Aggregation.DISTINCT.value: _distinct,
    Aggregation.QUANTILE.value: _quantile,
    Aggregation.HISTOGRAM.value: _histogram,
    Aggregation.TOP_K.value: _top,
    Aggregation.HEALTH.value: _health,
    Aggregation.EMBEDDING_LAST.value: _edge,
    Aggregation.EMBEDDING_MEAN.value: _vector_mean,
}
