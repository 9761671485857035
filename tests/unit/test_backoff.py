from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.backoff import FIRST, LONGEST, delay


@pytest.mark.parametrize(
    ("failures", "dice", "seconds"), [(1, 0.0, 0.5), (1, 0.5, 0.75), (2, 0.0, 1), (5, 0.0, 8), (6, 0.0, 15)]
)
def test_doubles_up_to_a_limit(failures, dice, seconds):
    assert delay(failures, dice) == timedelta(seconds=seconds)


def test_the_limit_can_be_shorter():
    assert delay(6, 0.0, timedelta(seconds=15)) == timedelta(seconds=7.5)


@given(st.integers(1, 10**9), st.floats(0, 1, exclude_max=True))
def test_is_always_bounded_and_never_zero(failures, dice):
    assert FIRST / 2 <= delay(failures, dice) <= LONGEST
