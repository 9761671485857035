"""What each aggregation makes of a window. Sums are exact, so each result is rounded once, from the true value."""

import math
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

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
_MICROSECOND = timedelta(microseconds=1)
_LARGEST = sys.float_info.max


class Window:
    """The panes of one window in the order of time, by number; `last` is the number of the newest it could hold."""

    def __init__(self, slots: Sequence[Slot], panes: Sequence[tuple[int, Pane]], last: int) -> None:
        self._slots = slots
        self._merged: dict[int, Any] = {}
        self.panes = panes
        self.last = last

    def merged(self, slot: int) -> Any:
        """One slot of all panes together, None if nothing counted. Shared by the features of the window."""
        if slot not in self._merged:
            held = [pane[slot] for _, pane in self.panes if pane[slot] is not None]
            self._merged[slot] = self._slots[slot].accumulator.fold(held) if held else None
        return self._merged[slot]


def value_of(plan: FeaturePlan, window: Window, now: int) -> float | tuple[float, ...]:  # noqa: C901, PLR0911, PLR0912 - a table
    """The value of a feature in a window in which at least one event counts."""
    feature = plan.feature
    count, newest = window.merged(plan.slots[0])
    size = feature.window.size // _MICROSECOND
    parts = [window.merged(slot) for slot in plan.slots[1:]]
    match feature.aggregation:
        case Aggregation.COUNT:
            return float(count)
        case Aggregation.RATE:
            return quotient(count * _SECOND, size)
        case Aggregation.HEALTH:
            assert feature.interval is not None
            return min(1.0, quotient(count * (feature.interval // _MICROSECOND), size))
        case Aggregation.RECENCY:
            return quotient(max(0, now - newest), _SECOND)
        case Aggregation.SUM:
            return quotient(parts[0], _UNIT)
        case Aggregation.MEAN:
            return quotient(parts[0], count << UNIT_BITS)
        case Aggregation.STD:
            return deviation(count, parts[0], parts[1])
        case Aggregation.EWMA:
            return _ewma(plan, window)
        case Aggregation.MIN | Aggregation.MAX:
            return float(parts[0])
        case Aggregation.FIRST | Aggregation.LAST:
            return float(parts[0][1])
        case Aggregation.QUANTILE:
            assert feature.quantile is not None
            return quantile(parts[0], feature.quantile)
        case Aggregation.DISTINCT:
            return estimate(parts[0])
        case Aggregation.HISTOGRAM:
            return tuple(float(bucket) for bucket in parts[0])
        case Aggregation.TOP_K:
            return largest(parts[0], feature.k or 1)
        case Aggregation.EMBEDDING_LAST:
            last: tuple[float, ...] = parts[0][1]
            return last
        case Aggregation.EMBEDDING_MEAN:
            return tuple(quotient(*fraction) for fraction in mean(parts[0], count))


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


def _ewma(plan: FeaturePlan, window: Window) -> float:
    """Mean in which the values of a pane that lies i panes back count `weights[i]`, a half after each half-life."""
    tally, slot = plan.slots
    numerator = denominator = 0
    for number, pane in window.panes:
        if pane[tally] is not None:
            mantissa, exponent = _integer(plan.weights[window.last - number])
            weight = mantissa << exponent
            numerator += weight * pane[slot]
            denominator += weight * pane[tally][0]
    return quotient(numerator, denominator << UNIT_BITS) if denominator else 0.0


def _integer(weight: float) -> tuple[int, int]:
    """A weight in [0, 1] as an integer in units of 2^-1074."""
    numerator, denominator = weight.as_integer_ratio()
    return numerator, UNIT_BITS - (denominator.bit_length() - 1)
