"""Sketches add up to the same whatever the order and the batches, and their files hold only what adds up."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skerry_core.canonical import canonical_json
from skerry_core.drift.baseline import (
    MAX_BASELINE_BUCKETS,
    MAX_BASELINE_BYTES,
    BaselineMalformedError,
    make_baseline,
    read_baseline,
)
from skerry_core.drift.sketch import ColumnSketch, Scale, coarse, merge, sketch
from tests.unit.drift.fields import FIELDS, baseline, sources

FLOATS = st.floats(allow_nan=True, allow_infinity=True, width=64)
SCALES = st.one_of(
    st.builds(
        Scale,
        st.none(),
        st.floats(-1e12, 1e12),
        st.floats(0, 1e6),
    ),
    st.lists(st.integers(-5, 40).map(float), min_size=1, max_size=32, unique=True).map(
        lambda kinds: Scale(tuple(sorted(kinds)), 0.0, 0.0)
    ),
)


@settings(max_examples=100, deadline=None)
@given(values=arrays(np.float64, st.integers(1, 60), elements=FLOATS), scale=SCALES, data=st.data())
def test_any_division_gives_the_same_sketch(values, scale, data):
    (whole,) = sketch([scale], [values])
    cut = data.draw(st.integers(0, len(values)))
    order = np.array(data.draw(st.permutations(range(len(values)))), np.int64)
    (one,), (other,) = (sketch([scale], [values[part]]) for part in (order[:cut], order[cut:]))
    assert merge(one, other) == merge(other, one) == whole
    assert whole.rows == len(values)
    assert sum(whole.counts.values()) + whole.nulls == whole.rows
    assert whole.nulls == np.count_nonzero(~np.isfinite(values))


@settings(max_examples=50, deadline=None)
@given(values=arrays(np.float64, st.integers(1, 60), elements=FLOATS), halved=st.integers(0, 10))
def test_coarse_keeps_every_row(values, halved):
    (fine,) = sketch([Scale(None, 0.0, 0.0)], [values])
    coarser = coarse(fine, halved)
    assert coarser.halved >= halved
    assert sum(coarser.counts.values()) == sum(fine.counts.values())


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    columns=st.lists(arrays(np.float64, st.integers(0, 80), elements=FLOATS), min_size=1, max_size=4),
    whole=st.booleans(),
)
def test_any_column_makes_a_bounded_baseline_that_reads_back(columns, whole):
    made = make_baseline(sources(*(str(place) for place in range(len(columns)))), columns, [whole] * len(columns))
    if made is None:
        assert not any(map(len, columns))
        return
    assert read_baseline(canonical_json(made)) == made
    for column in made.columns:
        assert len(column.buckets) <= MAX_BASELINE_BUCKETS
        assert merge(ColumnSketch(), column.sketch) == column.sketch


def test_a_baseline_stays_small():
    rng = np.random.default_rng(0)
    names = tuple(FIELDS)
    assert len(canonical_json(baseline(rng, 20_000, *names))) < 2500 * len(names)


def _broken(**changes):
    document = json.loads(canonical_json(baseline(np.random.default_rng(0), 100, "normal", "kinds")))
    document["columns"][0] |= changes
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"columns": []}',
        b"\xff" * 10,
        b" " * (MAX_BASELINE_BYTES + 1),
        _broken(rows=99),
        _broken(rows=-1),
        _broken(nulls=1),
        _broken(buckets=[[2, 50], [1, 50]]),
        _broken(buckets=[[1, 50], [1, 50]]),
        _broken(buckets=[[1 << 40, 100]]),
        _broken(buckets=[[place, 0] for place in range(200)]),
        _broken(halved=10**6),
        _broken(grain=-1),
        _broken(categories=[2.0, 1.0]),
        _broken(name="x" * 200),
        _broken(name="kinds"),
    ],
)
def test_what_is_no_baseline_is_refused(data):
    with pytest.raises(BaselineMalformedError) as caught:
        read_baseline(data)
    assert caught.value.reason == "BaselineMalformed"
