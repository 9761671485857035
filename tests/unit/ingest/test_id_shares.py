from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.ingest.id_shares import need, shares
from skerry_edge.ingest.limits import BUILT_IN_IDS, MIN_IDS, TOTAL_IDS
from tests.unit.ingest.worlds import stream_policy

REST = TOTAL_IDS - 2 * BUILT_IN_IDS
BUILT_IN = (("consent", None), ("labels", None))


@pytest.mark.parametrize(
    ("streams", "expected"),
    [
        ((("readings", None),), {"readings": REST}),
        ((("a", None), ("b", None)), {"a": REST // 2, "b": REST // 2}),
        ((("a", 10.0), ("b", None)), {"a": 36_101, "b": REST - 36_101}),
        ((("a", 0.01), ("b", None)), {"a": MIN_IDS, "b": REST - MIN_IDS}),
        ((("a", 10_000.0), ("b", None)), {"a": REST // 2, "b": REST // 2}),
    ],
)
def test_ids_go_where_they_are_needed(streams, expected):
    found = shares([stream_policy(name, max_rate=rate) for name, rate in (*BUILT_IN, *streams)])
    assert found == expected | {"consent": BUILT_IN_IDS, "labels": BUILT_IN_IDS}


@pytest.mark.parametrize(("rate", "expected"), [(None, BUILT_IN_IDS), (100.0, 361_001)])
def test_a_rate_tells_what_a_built_in_stream_needs(rate, expected):
    assert shares([stream_policy("labels", max_rate=rate)]) == {"labels": expected}


@given(st.lists(st.tuples(st.none() | st.floats(0.001, 1e6), st.integers(1, 10**6)), max_size=100))
def test_shares_are_bounded_and_fair(kept):
    streams = [
        stream_policy(f"s{at}", max_rate=rate, dedup_window=timedelta(seconds=seconds))
        for at, (rate, seconds) in enumerate(kept)
    ]
    found = shares(streams)
    assert sum(found.values()) <= TOTAL_IDS
    for policy in streams:
        assert found[policy.name] >= MIN_IDS
        # No stream has less than an even share unless that is all that it needs.
        assert found[policy.name] >= min(need(policy), TOTAL_IDS // len(streams))


def test_nobody_has_fewer_than_the_least():
    assert set(shares([stream_policy(f"s{n}") for n in range(500)]).values()) == {MIN_IDS}
