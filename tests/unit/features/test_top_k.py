"""TopK's counts: exact up to a number of different values, a count-min sketch beyond."""

from collections import Counter
from functools import reduce
from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.features.accumulators import count_min
from skerry_core.features.accumulators.counts import MAX_VALUES, ByValue, largest
from skerry_core.features.accumulators.identity import hash_of
from skerry_core.features.columns import Column, group
from tests.unit.features.sets import T0, event, feature, plan, values

COMMON = ByValue()
IDENTITIES = [hash_of(f"part-{i}") for i in range(10_001)]
# What the documented bound comes to, for each value with 98 %.
ERROR = np.e / count_min.WIDTH


def gathered(numbers):
    """The accumulator's value for events by the number of what they hold."""
    if not len(numbers):
        return {}
    hashes = np.array([IDENTITIES[number] for number in numbers], np.uint64)
    rows = np.arange(len(numbers))
    return COMMON.gather(Column(hashes, None), group(np.zeros_like(rows), rows, None, rows))[0]


def test_a_heavy_value_whose_hash_is_large_is_found():
    """One that was left out when of too many values those with the smallest hashes were kept."""
    heavy = max((f"heavy-{i}" for i in range(100)), key=hash_of)
    events = [event({"state": f"part-{i}"}, T0 + i) for i in range(600)]
    events += [event({"state": heavy}, T0 + i) for i in range(5400)]
    top = values(plan([feature("f", "TopK", "state", k=2)]), events)["f"].value
    assert 5400 <= top[0] <= 5400 + ERROR * 6000
    assert 1 <= top[1] <= 1 + ERROR * 6000


@pytest.mark.parametrize("first", range(5))
@pytest.mark.parametrize("k", [1, 10])
def test_heavy_values_among_ten_thousand_light_ones(first, k):
    """Whichever values are heavy."""
    heavies = [first + 1000 * i for i in range(k)]
    counts = Counter(dict.fromkeys(IDENTITIES, 1))
    for i, number in enumerate(heavies):
        counts[IDENTITIES[number]] += 90_000 // k - i
    exact = sorted(counts.values(), reverse=True)[:k]
    total = sum(counts.values())
    found = largest(count_min.sketch(counts), k)
    assert all(true <= estimate <= true + ERROR * total for true, estimate in zip(exact, found, strict=True))


def test_the_least_counter_is_as_near_as_documented():
    counts = {identity: 20_000 // (i + 1) for i, identity in enumerate(IDENTITIES)}

    def rows(of):
        return np.frombuffer(count_min.sketch(of), "<i8").reshape(count_min.ROWS, count_min.WIDTH)

    among_all = rows(counts)
    over = [among_all[rows({identity: 1}) > 0].min() - counts[identity] for identity in IDENTITIES[:1000]]
    assert min(over) >= 0
    assert np.mean(np.array(over) > ERROR * sum(counts.values())) <= np.exp(-count_min.ROWS)


@pytest.mark.parametrize("different", [1, 3, MAX_VALUES])
def test_exact_up_to_the_limit(different):
    numbers = [i % different for i in range(2 * MAX_VALUES + 1)]
    value = gathered(numbers)
    exact = [float(count) for _, count in Counter(numbers).most_common(5)]
    assert largest(value, 5) == tuple(exact + [0.0] * (5 - len(exact)))
    assert value == {IDENTITIES[number]: count for number, count in Counter(numbers).items()}


# So many different values that a part of them is within the limit, and all of them beyond, or not.
NUMBERS = st.integers(MAX_VALUES - 40, MAX_VALUES + 40).flatmap(
    lambda base: st.lists(st.integers(0, base + 20), max_size=60).map(lambda more: [*range(base), *more])
)


@pytest.mark.slow
@given(NUMBERS, st.randoms(use_true_random=False), st.lists(st.integers(0, 700), max_size=5))
def test_the_state_is_that_of_the_events_alone(numbers, source, cuts):
    whole = gathered(numbers)
    assert isinstance(whole, bytes) == (len(set(numbers)) > MAX_VALUES)
    shuffled = list(numbers)
    source.shuffle(shuffled)
    edges = sorted({0, *(min(cut, len(numbers)) for cut in cuts), len(numbers)})
    parts = [gathered(shuffled[a:b]) for a, b in pairwise(edges)]
    source.shuffle(parts)
    assert COMMON.fold(parts) == whole
    assert reduce(COMMON.merge, parts) == whole
    assert reduce(lambda merged, part: COMMON.merge(part, merged), parts) == whole
    assert COMMON.pack(reduce(COMMON.merge, parts)) == COMMON.pack(whole)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (range(MAX_VALUES), range(1, MAX_VALUES + 1)),
        (range(MAX_VALUES + 1), range(3)),
        (range(MAX_VALUES + 1), range(MAX_VALUES, 2 * MAX_VALUES + 5)),
    ],
    ids=["both-exact", "sketch-and-exact", "both-sketches"],
)
def test_beyond_the_limit_together(one, other):
    whole = gathered([*one, *other])
    assert isinstance(whole, bytes)
    assert COMMON.merge(gathered(one), gathered(other)) == whole == COMMON.merge(gathered(other), gathered(one))


@given(st.lists(st.integers(0, count_min.MOST + 5), min_size=1, max_size=30))
def test_a_sketch_comes_back_as_it_went(counts):
    value = count_min.sketch(dict(zip(IDENTITIES, counts, strict=False)))
    packed = COMMON.pack(value)
    assert COMMON.unpack(msgspec.msgpack.decode(msgspec.msgpack.encode(packed))) == value


@given(st.lists(st.integers(0, count_min.MOST), min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_counters_stay_at_the_most(counts, source):
    sketches = [count_min.sketch({IDENTITIES[0]: count}) for count in counts]
    source.shuffle(sketches)
    merged = reduce(count_min.add, sketches)
    assert merged == count_min.sketch({IDENTITIES[0]: sum(counts)})
    assert largest(merged, 1) == (float(min(sum(counts), count_min.MOST)),)


@pytest.mark.parametrize(("events", "kib"), [(100_000, 4.5), (10_000_000, 8.5), (1_000_000_000, 12.5)])
def test_a_packed_sketch_takes_a_few_kib(events, kib):
    """However many different values there are, even if nine tenths of the events are of one."""
    counts = dict.fromkeys(IDENTITIES, events // 10 // len(IDENTITIES)) | {IDENTITIES[5]: events * 9 // 10}
    assert len(msgspec.msgpack.encode(COMMON.pack(count_min.sketch(counts)))) <= kib * 1024


@pytest.mark.parametrize("left_out", [0, 1])
def test_states_of_before_there_was_a_sketch(left_out):
    old = COMMON.unpack([left_out, IDENTITIES[0], 7, IDENTITIES[1], 9])
    assert largest(old, 3) == (9.0, 7.0, 0.0)
    assert largest(COMMON.merge(old, gathered([0, 2])), 3) == (9.0, 8.0, 1.0)
    assert isinstance(COMMON.merge(old, gathered(range(MAX_VALUES + 1))), bytes)


GOOD = count_min.pack(count_min.sketch({IDENTITIES[0]: 300}))


@pytest.mark.parametrize(
    "packed",
    [
        [],
        [2],
        [2, b""],
        [2, GOOD[:-1]],
        [2, GOOD + b"\0"],
        [2, GOOD[:-1] + b"\x80"],
        [2, GOOD[:-1] + b"\xff" * 7 + b"\x7f"],
        [2, GOOD[:-1] + b"\xff" * 8 + b"\x01"],
        [2, GOOD, 0],
        [2, 7],
        [0, 1],
    ],
)
def test_what_is_no_state_is_refused(packed):
    with pytest.raises((ValueError, TypeError, IndexError)):
        COMMON.unpack(packed)
