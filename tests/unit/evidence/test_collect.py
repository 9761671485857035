from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.evidence.collect import LATENCY_LIMIT, MAX_WINDOWS, Collector, combine, total, window_start
from skerry_core.evidence.window import Evidence, Pair
from skerry_core.evidence.wire import ModelEvidence, NodeEvidence, to_wire

CHAMPION, CHALLENGER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
T0 = datetime(2026, 1, 1, tzinfo=UTC)
INTERVAL = timedelta(seconds=5)

pairs = st.builds(
    lambda at, rows, wrong, ours, theirs, error: Pair(
        T0 + timedelta(seconds=at), rows, min(rows, wrong), ours, theirs, error
    ),
    st.integers(0, 60),
    st.integers(0, 20),
    st.integers(0, 20),
    st.floats(1e-5, 1),
    st.none() | st.floats(1e-5, 1),
    st.sampled_from(["", "", "NonFinite", LATENCY_LIMIT]),
)


def collect(found) -> Evidence:
    collector = Collector(CHAMPION, CHALLENGER, INTERVAL)
    for pair in found:
        collector.add(pair)
    return collector.evidence()


@settings(deadline=None)
@given(st.lists(pairs, max_size=30), st.lists(pairs, max_size=30))
def test_combining_nodes_is_collecting_all_their_pairs(one, other):
    assert combine([collect(one), collect(other)]) == collect(one + other)


@settings(deadline=None)
@given(st.lists(st.lists(pairs, max_size=10), min_size=1, max_size=4), st.randoms())
def test_combining_is_commutative_and_associative(groups, random):
    evidences = [collect(group) for group in groups]
    shuffled = random.sample(evidences, len(evidences))
    assert combine(evidences) == combine(shuffled) == reduce(lambda a, b: combine([a, b]), shuffled)


def test_evidence_on_different_releases_is_not_combined():
    with pytest.raises(ValueError, match="2 pairs"):
        combine([Evidence(CHAMPION, CHALLENGER), Evidence(CHALLENGER, CHAMPION)])
    with pytest.raises(ValueError, match="0 pairs"):
        combine([])


@settings(deadline=None)
@given(st.datetimes(timezones=st.just(UTC)))
def test_windows_are_aligned_and_hold_their_times(at):
    start = window_start(at, INTERVAL)
    assert start <= at < start + INTERVAL
    assert window_start(start, INTERVAL) == start


def test_what_a_pair_adds():
    evidence = collect(
        [
            Pair(T0, 4, 1, 0.01, 0.02),
            Pair(T0, 0, 0, 0.01, None, "NonFinite"),
            Pair(T0, 0, 0, 0.01, 0.5, LATENCY_LIMIT),
        ]
    )
    (window,) = evidence.windows
    assert (window.requests, window.rows, window.disagreements) == (3, 4, 1)
    assert (window.errors, window.trips) == (1, 2)
    assert sum(window.ratios.values()) == sum(window.differences.values()) == 2


def test_a_long_canary_is_summed_not_lost():
    collector = Collector(CHAMPION, CHALLENGER, INTERVAL)
    for number in range(3 * MAX_WINDOWS):
        collector.add(Pair(T0 + number * INTERVAL, 1, 0, 0.01, 0.01))
    evidence = collector.evidence()
    assert len(evidence.windows) == MAX_WINDOWS
    assert total(evidence).rows == 3 * MAX_WINDOWS
    collector.add(Pair(T0 + 3 * MAX_WINDOWS * INTERVAL, 1, 0, 0.01, 0.01))
    assert total(collector.evidence()).rows == 3 * MAX_WINDOWS + 1


@settings(deadline=None)
@given(st.lists(pairs, max_size=30))
def test_the_wire_carries_evidence_whole(found):
    evidence = collect(found)
    model = ModelEvidence(
        namespace="team",
        model="har",
        champion=CHAMPION,
        challenger=CHALLENGER,
        running=True,
        windows=to_wire(evidence),
    )
    sent = NodeEvidence(site="site-a", node="node-1", models=(model,)).model_dump_json(by_alias=True)
    assert NodeEvidence.model_validate_json(sent).models[0].evidence() == evidence
