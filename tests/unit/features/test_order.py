"""Whatever the order within the lateness, the batches, and the split over nodes: the same bytes."""

import random
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.features.accumulators.counts import MAX_VALUES
from skerry_core.features.accumulators.sketch import MAX_BUCKETS
from skerry_core.features.apply import partials, take
from skerry_core.features.state import EntityState, merge
from tests.unit.features.sets import ALL, KEY, MINUTE, SECOND, T0, encoded, event, feature, plan, raw, run

PLAN = plan(
    [*ALL, feature("long", "Sum", window={"kind": "Rolling", "size": "1h", "pane": "10m"})], allowedLateness="30m"
)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
DATA = st.fixed_dictionaries(
    {},
    optional={
        "rms": st.one_of(FINITE, st.sampled_from([0.0, -0.0, 1.0, 1e308, -1e308, 5e-324])),
        "cycles": st.integers(-(1 << 63), (1 << 63) - 1),
        "state": st.sampled_from(["run", "stop", "é"]),
        "open": st.booleans(),
        "v": st.lists(FINITE, min_size=3, max_size=3),
    },
)
EVENTS = st.lists(
    st.builds(
        lambda data, at, delay, press: event(data, T0 + at, T0 + at + delay, subject=press),
        DATA,
        st.integers(-20 * MINUTE, 0),
        st.integers(-MINUTE, 31 * MINUTE),
        st.sampled_from(["press-1", "press-2"]),
    ),
    max_size=30,
)


def final(plan, batches):
    states = {}
    for batch in batches:
        run(plan, batch, states)
    return encoded(plan, states)


@given(EVENTS, st.randoms(use_true_random=False), st.lists(st.integers(0, 30), max_size=4))
def test_order_and_batches_make_no_difference(events, source, cuts):
    shuffled = list(events)
    # Within the lateness: a clock that falls back by more is a jump.
    source.shuffle(shuffled)
    whole = final(PLAN, [events])
    received = [entry[2] for entry in events]
    if received and max(received) - min(received) > 30 * MINUTE:
        shuffled = events
    edges = sorted({0, *(min(cut, len(events)) for cut in cuts), len(events)})
    assert final(PLAN, [shuffled[a:b] for a, b in pairwise(edges)]) == whole
    assert final(PLAN, [[entry] for entry in shuffled]) == whole


@given(EVENTS, st.data())
def test_a_split_and_merge_makes_no_difference(events, data):
    side = data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events)))
    whole, halves = {}, ({}, {})
    run(PLAN, events, whole)
    for entry, right in zip(events, side, strict=True):
        run(PLAN, [entry], halves[right])
    for key, state in whole.items():
        one, other = (half.get(key, EntityState.empty(PLAN)) for half in halves)
        before = one.encode(PLAN), other.encode(PLAN)
        assert merge(PLAN, one, other, T0 + 40 * MINUTE).encode(PLAN) == state.encode(PLAN)
        assert merge(PLAN, other, one, T0 + 40 * MINUTE).encode(PLAN) == state.encode(PLAN)
        assert (one.encode(PLAN), other.encode(PLAN)) == before


def folded(plan, states):
    """Of each slot of the states' panes what `fold` comes to, and what merges do."""
    for index, pane_plan in enumerate(plan.panes):
        panes = [pane for state in states for pane in state.panes[index].values()]
        for place, slot in enumerate(pane_plan.slots):
            if values := [pane[place] for pane in panes if pane[place] is not None]:
                pack = slot.accumulator.pack
                yield pack(slot.accumulator.fold(values)), pack(reduce(slot.accumulator.merge, values))


@given(EVENTS)
def test_a_fold_is_what_merges_come_to(events):
    single = [{} for _ in events]
    for entry, states in zip(events, single, strict=True):
        run(PLAN, [entry], states)
    for fold, merges in folded(PLAN, [state for states in single for state in states.values()]):
        assert fold == merges


@given(EVENTS, st.lists(st.integers(0, 30), max_size=4))
def test_stretches_absorbed_are_what_comes_of_all(events, cuts):
    """Each entity's events between two cuts, at once, and then one after the other."""
    # A clock that never falls back.
    events = sorted(events, key=lambda entry: entry[2])
    taken = take(PLAN, raw(events))
    stretch = np.searchsorted(sorted(cuts), taken.rows, "right")
    names = [(int(number), key) for number, key in zip(stretch, taken.keys, strict=True)]
    numbers = {name: number for number, name in enumerate(sorted(set(names)))}
    parts = partials(PLAN, taken, np.array([numbers[name] for name in names], np.int64), len(numbers))
    states = {}
    for (number, key), part in zip(numbers, parts, strict=True):
        clock = int(taken.received[[name == (number, key) for name in names]].max())
        states.setdefault(key, EntityState.empty(PLAN)).absorb(PLAN, part, clock)
    assert encoded(PLAN, states) == final(PLAN, [events])


@given(EVENTS)
def test_bytes_come_back_as_they_went(events):
    states = {}
    run(PLAN, events, states)
    for state in states.values():
        data = state.encode(PLAN)
        again = EntityState.decode(PLAN, data)
        assert again.panes == state.panes
        assert again.encode(PLAN) == data


# Times far from each other, as of a clock that jumps by years or days, or of a node that wakes in 1970.
CLOCKS = st.sampled_from([SECOND, T0 - 400 * MINUTE, T0, T0 + 3 * MINUTE, T0 + 500 * MINUTE, T0 + 10**15])


@given(
    st.lists(st.tuples(CLOCKS, st.integers(0, 30 * MINUTE), st.integers(0, 2 * MINUTE)), max_size=25),
    st.lists(st.integers(0, 25), max_size=4),
)
def test_a_clock_that_jumps_makes_no_difference_to_batches(steps, cuts):
    small = plan([feature("sum", "Sum", window={"kind": "Rolling", "size": "2m", "pane": "1m"})])
    events = [event({"rms": 1.0}, clock + at - age, clock + at) for clock, at, age in steps]
    edges = sorted({0, *(min(cut, len(events)) for cut in cuts), len(events)})
    one_by_one = final(small, [[entry] for entry in events])
    assert final(small, [events]) == one_by_one
    assert final(small, [events[a:b] for a, b in pairwise(edges)]) == one_by_one


@pytest.mark.parametrize(
    ("spec", "make"),
    [
        (feature("f", "Distinct", "state"), lambda i: {"state": f"s{i}"}),
        (feature("f", "TopK", "state", k=3), lambda i: {"state": f"s{i % 900}"}),
        (feature("f", "Quantile", quantile=0.5), lambda i: {"rms": 1.01**i if i % 3 else -(1.02**i)}),
    ],
)
def test_what_is_bounded_is_so_in_any_order(spec, make):
    large = plan([spec])
    events = [event(make(i), T0 + i * 1000) for i in range(3000)]
    shuffled = list(events)
    random.Random(5).shuffle(shuffled)
    whole = final(large, [events])
    assert final(large, [shuffled[a : a + 700] for a in range(0, 3000, 700)]) == whole
    assert len(whole[KEY]) < 16 * max(MAX_BUCKETS, MAX_VALUES)
    parts = [{} for _ in range(5)]
    for number, states in enumerate(parts):
        run(large, shuffled[number::5], states)
    for fold, merges in folded(large, [states[KEY] for states in parts]):
        assert fold == merges
