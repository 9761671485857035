"""Against naive computations with the same numbers."""

import math
import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.features.sets import SECOND, T0, event, feature, plan, values

PLAN = plan(
    [
        feature("sum", "Sum"),
        feature("mean", "Mean"),
        feature("std", "Std"),
        feature("ewma", "Ewma", halfLife="3m"),
        *(feature(f"q{q}", "Quantile", quantile=q / 100) for q in (0, 1, 50, 90, 99, 100)),
        feature("histogram", "Histogram", buckets=[-1.0, 0.0, 10.0]),
        feature("centre", "EmbeddingMean", "v", length=3),
    ]
)
NUMBERS = st.lists(st.floats(-1e150, 1e150), min_size=1, max_size=40)


def found(numbers):
    events = [event({"rms": x, "v": [x, -x, 1.0]}, T0 + i * SECOND) for i, x in enumerate(numbers)]
    return {name: value.value for name, value in values(PLAN, events, T0 + 60 * SECOND).items()}


@given(NUMBERS)
def test_moments_are_rounded_once_from_the_true_value(numbers):
    result = found(numbers)
    mean = sum(map(Fraction, numbers)) / len(numbers)
    assert result["sum"] == math.fsum(numbers)
    assert result["mean"] == float(mean)
    assert result["centre"] == (float(mean), float(-mean), 1.0)
    assert result["std"] == statistics.pstdev(map(Fraction, numbers))


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=10))
def test_sums_over_the_whole_range_of_floats(numbers):
    total = sum(map(Fraction, numbers))
    largest = Fraction(np.finfo(float).max)
    assert found(numbers)["sum"] == float(max(-largest, min(largest, total)))


@given(NUMBERS)
def test_quantiles_are_within_one_percent(numbers):
    result = found(numbers)
    for q in (0, 1, 50, 90, 99, 100):
        exact = sorted(numbers)[math.floor(q / 100 * (len(numbers) - 1))]
        assert result[f"q{q}"] == pytest.approx(exact, rel=0.01, abs=5e-324)


@pytest.mark.parametrize("spread", [0.1, 1, 4])
def test_quantiles_of_many(spread):
    numbers = np.random.default_rng(1).lognormal(2, spread, 5000)
    sketch = plan([feature("p", "Quantile", quantile=0.95)])
    events = [event({"rms": x}, T0 + i) for i, x in enumerate(numbers.tolist())]
    assert values(sketch, events)["p"].value == pytest.approx(np.quantile(numbers, 0.95, method="lower"), rel=0.01)


@given(st.lists(st.floats(-20, 20), min_size=1, max_size=40))
def test_histogram(numbers):
    expected = [0, 0, 0, 0]
    for x in numbers:
        expected[sum(x > bound for bound in (-1, 0, 10))] += 1
    assert found(numbers)["histogram"] == tuple(expected)


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 10, 500, 3000, 12_000, 60_000])
def test_distinct_is_within_four_standard_errors(count):
    distinct = plan([feature("d", "Distinct", "state"), feature("i", "Distinct", "cycles")])
    rows = [event({"state": f"part-{i}", "cycles": i}, T0 + i) for i in range(count)]
    result = values(distinct, rows + rows[: count // 2], T0)
    for name in ("d", "i"):
        assert result[name].value == pytest.approx(count, rel=4 * 1.04 / 64)
    assert count > 10 or result["d"].value == count


@pytest.mark.slow
def test_rows_in_batches_of_many_groups():
    rng = np.random.default_rng(2)
    sets = plan([feature("sum", "Sum"), feature("last", "Last"), feature("std", "Std")])
    events, by_press = [], {}
    for i in range(3000):
        press, x = f"press-{rng.integers(40)}", float(rng.normal(0, 10.0 ** rng.integers(-5, 5)))
        events.append(event({"rms": x}, T0 + i * SECOND // 10, subject=press))
        by_press.setdefault(press, []).append(x)
    for press, numbers in by_press.items():
        result = values(sets, events, T0 + 300 * SECOND, f'["{press}"]'.encode())
        assert result["sum"].value == math.fsum(numbers)
        assert result["last"].value == numbers[-1]
        assert result["std"].value == statistics.pstdev(map(Fraction, numbers))
