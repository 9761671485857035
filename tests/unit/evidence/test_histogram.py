import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.evidence.histogram import LARGEST, RELATIVE_ERROR, SMALLEST, bucket_of, merge, quantile, value_of

values = st.floats(-LARGEST, LARGEST, allow_nan=False)


def within(found: float, true: float) -> bool:
    return abs(found - true) <= RELATIVE_ERROR * abs(true) * (1 + 1e-9) + SMALLEST


@settings(deadline=None)
@given(values)
def test_a_bucket_stands_for_its_values(value):
    assert within(value_of(bucket_of(value)), value)


@settings(deadline=None)
@given(values, values)
def test_buckets_are_ordered_as_values_are(one, other):
    if one <= other:
        assert bucket_of(one) <= bucket_of(other)


@settings(deadline=None)
@given(st.lists(values, min_size=1), st.floats(0, 1))
def test_quantiles_are_within_the_stated_error(sample, q):
    histogram = Counter(map(bucket_of, sample))
    exact = sorted(sample)[math.floor(q * (len(sample) - 1))]
    assert within(quantile(histogram, q), exact)


@settings(deadline=None)
@given(st.lists(values), st.lists(values))
def test_merging_is_the_histogram_of_all_values(one, other):
    merged = merge([Counter(map(bucket_of, one)), Counter(map(bucket_of, other))])
    assert merged == Counter(map(bucket_of, one + other))


def test_edges():
    assert quantile({}, 0.5) is None
    assert bucket_of(math.inf) == bucket_of(LARGEST)
    assert bucket_of(0.0) == bucket_of(SMALLEST / 2) == 0
    with pytest.raises(ValueError, match="NaN"):
        bucket_of(math.nan)
