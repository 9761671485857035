import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.telemetry.sketch import PER_DECADE, TOP, bounds, from_wire, index_of, quantile, to_wire

SKETCHES = st.dictionaries(st.integers(-40, TOP), st.integers(1, 10**6), max_size=60)


def test_bounds_are_on_the_grid():
    assert bounds(-1, 0) == (0.1, 0.1334, 0.1778, 0.2371, 0.3162, 0.4217, 0.5623, 0.7499, 1.0)
    assert bounds(-1, 0, 4) == (0.1, 0.3162, 1.0)
    assert [index_of(bound) for bound in bounds(-4, 6)] == list(range(-4 * PER_DECADE, 6 * PER_DECADE + 1))


@pytest.mark.parametrize(("bound", "index"), [(math.inf, TOP), (0.003, -20), (0.0005, -26), (1.0, 0), (1e300, TOP)])
def test_other_bounds_go_where_all_they_hold_still_is_below(bound, index):
    assert index_of(bound) == index
    assert index == TOP or 10 ** (index / PER_DECADE) >= bound * 0.999


@given(SKETCHES, st.floats(0, 1))
def test_a_quantile_is_the_bound_of_the_bucket_that_has_its_rank(sketch, q):
    values = sorted(index for index, count in sketch.items() for _ in range(min(count, 1)))
    found = quantile(dict.fromkeys(values, 1), q)
    if not values:
        assert found is None
    else:
        assert found == 10 ** (values[math.floor(q * (len(values) - 1))] / PER_DECADE)


@given(SKETCHES, st.integers(2, 60))
def test_the_wire_loses_no_count_and_never_lowers_a_value(sketch, limit):
    back = from_wire(to_wire(sketch, limit))
    assert sum(back.values()) == sum(sketch.values())
    for bound in range(-48, TOP + 9):
        assert sum(count for index, count in back.items() if index <= bound) <= sum(
            count for index, count in sketch.items() if index <= bound
        )


@given(SKETCHES)
def test_within_the_limit_nothing_is_coarsened(sketch):
    assert from_wire(to_wire(sketch, 60)) == sketch
