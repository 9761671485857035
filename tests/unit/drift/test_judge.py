"""The same distribution is let be, another one is told, whatever the column's scale."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.psi import Binned, by_chance, chi_squared, psi
from tests.unit.drift.fields import FIELDS, baseline, columns, seen

NAMES = tuple(FIELDS)
# No floor: what is left is the limit that chance sets.
CHANCE = DriftLimits(max_psi=1e-9, min_samples=50)


@pytest.mark.slow
@pytest.mark.parametrize("rows", [60, 300, 3000])
@pytest.mark.parametrize("trained", [200, 2000])
def test_chance_alone_is_seldom_outside_its_limit(rows, trained):
    """Of a hundred windows one may be: the significance is 0.001 for a window, and its formula an approximation."""
    rng = np.random.default_rng(rows + trained)
    outside = 0
    for _ in range(10):
        against = baseline(rng, trained, *NAMES)
        for _ in range(10):
            outside += any(each.outside for each in seen(against, columns(rng, rows, *NAMES), CHANCE).columns)
    assert outside <= 1


@pytest.mark.parametrize("name", NAMES)
def test_a_shift_is_told(name):
    rng = np.random.default_rng(5)
    against = baseline(rng, 2000, name)
    calm, shifted = (seen(against, columns(rng, 400, name, shift=shift)).columns[0] for shift in (0.0, 1.0))
    assert not calm.outside
    assert shifted.outside
    assert shifted.psi > 2 * calm.psi


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    name=st.sampled_from(NAMES),
    trained=st.integers(300, 4000),
    rows=st.integers(300, 4000),
)
def test_the_default_limits_let_the_same_distribution_be(seed, name, trained, rows):
    rng = np.random.default_rng(seed)
    assert not seen(baseline(rng, trained, name), columns(rng, rows, name)).columns[0].outside


@settings(max_examples=60, deadline=None)
@given(
    ours=st.lists(st.integers(0, 10**6), min_size=2, max_size=12),
    times=st.integers(1, 5),
)
def test_the_index_is_none_for_equal_shares_and_never_negative(ours, times):
    theirs = [times * count for count in ours]
    assert psi(Binned(tuple(ours), tuple(ours))) == 0
    assert psi(Binned(tuple(theirs), tuple(ours))) >= 0
    mirrored = psi(Binned(tuple(ours), tuple(theirs)))
    assert psi(Binned(tuple(theirs), tuple(ours))) == pytest.approx(mirrored)


def test_smaller_windows_get_a_higher_limit():
    limits = [by_chance(Binned((500, 500), (n, n)), 1e-3) for n in (25, 250, 2500)]
    assert limits == sorted(limits, reverse=True)
    assert by_chance(Binned((500, 500), (0, 0)), 1e-3) == math.inf


@pytest.mark.parametrize(
    ("freedom", "p", "exact"),
    [(3, 0.9, 6.251), (5, 0.99, 15.086), (10, 0.95, 18.307), (12, 0.999, 32.909), (33, 0.99, 54.776)],
)
def test_quantiles_of_chi_squared(freedom, p, exact):
    assert chi_squared(freedom, p) == pytest.approx(exact, rel=0.02)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.2, 1.0])
@pytest.mark.parametrize("null", [np.nan, np.inf, -np.inf])
def test_nulls_are_told_as_what_they_are(share, null):
    rng = np.random.default_rng(1)
    against = baseline(rng, 2000, "normal")
    (values,) = columns(rng, 1000, "normal")
    values[: int(share * 1000)] = null
    (found,) = seen(against, [values]).columns
    assert found.nulls == share
    assert found.outside == (share >= 0.2)


def test_thin_columns_and_ignored_ones_are_not_judged():
    rng = np.random.default_rng(1)
    against = baseline(rng, 1000, "normal", "uniform", "binary")
    values = columns(rng, 400, "normal", "uniform", "binary", shift=1.0)
    values[0] = values[0][:299]
    found = seen(against, values, DriftLimits(ignored_columns=("uniform",)))
    assert [each.column for each in found.columns] == ["binary"]


@pytest.mark.parametrize("kinds", [3, 200])
def test_kinds_that_were_never_seen_are_told(kinds):
    rng = np.random.default_rng(2)
    against = baseline(rng, 1000, "binary")
    values = 5.0 + rng.integers(0, kinds, 500)
    assert seen(against, [values]).columns[0].outside
