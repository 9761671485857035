import math
import sys

import pytest

from skerry_core.features.definition import Aggregation
from skerry_core.features.read import FeatureStatus, read
from tests.unit.features.sets import ALL, KEY, MINUTE, SECOND, T0, document, event, feature, plan, run, values

PLAN = plan()
# Two minutes with two events each.
EVENTS = [
    event({"rms": 1.0, "state": "run", "open": True, "v": [1, 2, 3]}, T0),
    event({"rms": 2.0, "state": "run", "open": False, "v": [3, 2, 1]}, T0 + 10 * SECOND),
    event({"rms": 3.0, "state": "stop", "open": True}, T0 + MINUTE),
    event({"rms": 6.0, "state": "run", "v": [0.5, 0, 0]}, T0 + MINUTE + SECOND),
]
NOW = T0 + MINUTE + 11 * SECOND


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("count", 4.0),
        ("running", 3.0),
        ("sum", 12.0),
        ("mean", 3.0),
        ("min", 1.0),
        ("max", 6.0),
        ("std", math.sqrt(14 / 4)),
        ("last", 6.0),
        ("first", 1.0),
        ("recency", 10.0),
        ("rate", 4 / 600),
        # A minute back counts 0.5^(1/2).
        ("ewma", (9 + 3 * math.sqrt(0.5)) / (2 + 2 * math.sqrt(0.5))),
        ("states", 2.0),
        # The third of four values (rank floor(0.9 * 3)).
        ("p90", pytest.approx(3.0, rel=0.01)),
        ("histogram", (1.0, 1.0, 1.0, 1.0)),
        ("top", (3.0, 1.0)),
        ("health", 0.4),
        ("embedding", (0.5, 0.0, 0.0)),
        ("centre", (1.5, 4 / 3, 4 / 3)),
        ("squared", 50.0),
        ("opened", 2.0),
    ],
)
def test_a_window_of_two_panes(name, expected):
    found = values(PLAN, EVENTS, NOW)[name]
    assert found.status is FeatureStatus.PRESENT
    assert found.value == (pytest.approx(expected, rel=1e-15) if name == "ewma" else expected)


def test_a_tumbling_window_is_the_last_that_is_over():
    size = 10 * MINUTE
    start = T0 // size * size
    events = [event({"rms": 1.5}, start), event({"rms": 2.0}, start + size - 1), event({"rms": 8.0}, start + size)]
    assert values(PLAN, events, start + size - 1)["tumbling"].status is FeatureStatus.NOT_FOUND
    assert values(PLAN, events, start + size)["tumbling"].value == 3.5
    assert values(PLAN, events, start + 2 * size - 1)["tumbling"].value == 3.5
    assert values(PLAN, events, start + 2 * size)["tumbling"].value == 8.0


def test_a_rolling_window_lets_whole_panes_go():
    events = [event({"rms": 1.0}, T0), event({"rms": 2.0}, T0 + MINUTE)]
    assert values(PLAN, events, T0 + 10 * MINUTE - 1)["sum"].value == 3.0
    assert values(PLAN, events, T0 + 10 * MINUTE)["sum"].value == 2.0
    assert values(PLAN, events, T0 + 11 * MINUTE)["sum"].status is FeatureStatus.NOT_FOUND


@pytest.mark.parametrize(
    ("name", "after", "status", "value"),
    [
        ("count", 30 * MINUTE, FeatureStatus.PRESENT, 0.0),
        ("rate", 30 * MINUTE, FeatureStatus.PRESENT, 0.0),
        ("health", 30 * MINUTE, FeatureStatus.PRESENT, 0.0),
        ("count", 61 * MINUTE, FeatureStatus.OUTSIDE_MAX_AGE, 0.0),
        ("sum", 30 * MINUTE, FeatureStatus.NOT_FOUND, None),
        ("recency", 30 * MINUTE, FeatureStatus.NOT_FOUND, None),
        ("states", 30 * MINUTE, FeatureStatus.NOT_FOUND, None),
    ],
)
def test_nothing_in_the_window(name, after, status, value):
    found = values(PLAN, [event({"rms": 1.0})], T0 + after)[name]
    assert (found.status, found.value) == (status, value)


def test_an_entity_that_nobody_knows():
    assert {found.status for found in values(PLAN, [], T0).values()} == {FeatureStatus.NOT_FOUND}


def test_older_than_its_ttl():
    short = plan([feature("last", "Last", ttl="30s")])
    at = [values(short, [event({"rms": 4.0})], T0 + age * SECOND)["last"] for age in (30, 31)]
    assert [(found.status, found.value, found.age_us) for found in at] == [
        (FeatureStatus.PRESENT, 4.0, 30 * SECOND),
        (FeatureStatus.OUTSIDE_MAX_AGE, 4.0, 31 * SECOND),
    ]


@pytest.mark.parametrize(
    ("rms", "name", "expected"),
    [
        ([1.7e308, 1.7e308], "sum", sys.float_info.max),
        ([-1.7e308, -1.7e308], "sum", -sys.float_info.max),
        ([1.7e308, 1.7e308], "mean", 1.7e308),
        ([1.7e308, 1.7e308, -1.7e308], "sum", 1.7e308),
        ([1e308, 1.0, -1e308], "sum", 1.0),
        ([1e16, 1.0, 1.0], "sum", 1e16 + 2),
        ([5e-324, 5e-324], "sum", 1e-323),
        ([1.7e308, -1.7e308], "std", 1.7e308),
        ([0.1] * 10, "std", 0.0),
        ([1e9 + 4, 1e9 + 7, 1e9 + 13, 1e9 + 16], "std", math.sqrt(22.5)),
        ([-0.0, 0.0], "min", 0.0),
        ([5e-324], "p90", 5e-324),
        ([1.7e308], "p90", pytest.approx(1.7e308, rel=0.01)),
        ([-1.7e308], "p90", pytest.approx(-1.7e308, rel=0.01)),
        ([0.0], "p90", 0.0),
    ],
)
def test_numbers_at_the_edge(rms, name, expected):
    found = values(PLAN, [event({"rms": value}, T0 + i) for i, value in enumerate(rms)])[name]
    assert found.value == expected
    assert math.copysign(1, found.value) == (-1 if rms[0] < 0 and name != "min" else 1)


def test_a_value_that_could_not_be_computed_counts_in_other_columns():
    ratio = plan([feature("ratio", "Sum", "rms / 0.0"), feature("sum", "Sum"), feature("mixed", "Sum", "rms + 1")])
    found = values(ratio, [event({"rms": 2.0})])
    assert [found[name].status for name in ("ratio", "sum", "mixed")] == [
        FeatureStatus.NOT_FOUND,
        FeatureStatus.PRESENT,
        FeatureStatus.NOT_FOUND,
    ]


def test_a_reading_holds_until_it_says():
    states = {}
    run(PLAN, EVENTS, states)
    reading = read(PLAN, states[KEY], NOW)
    later = read(PLAN, states[KEY], reading.until_us - 1)
    assert reading.until_us == T0 + 2 * MINUTE
    assert [v.value for v in reading.values if v.name != "recency"] == [
        v.value for v in later.values if v.name != "recency"
    ]
    assert read(PLAN, None, NOW).until_us > NOW * 1000


def test_a_ttl_ends_a_reading_too():
    states = {}
    short = plan([feature("last", "Last", ttl="30s")])
    run(short, [event({"rms": 1.0})], states)
    until = read(short, states[KEY], T0).until_us
    assert until == T0 + 30 * SECOND + 1
    assert read(short, states[KEY], until).values[0].status is FeatureStatus.OUTSIDE_MAX_AGE


def test_a_decay_that_leaves_nothing_leaves_the_newest():
    quick = plan([feature("ewma", "Ewma", halfLife="1ms")])
    events = [event({"rms": 5.0}, T0), event({"rms": 2.0}, T0 + MINUTE), event({"rms": 4.0}, T0 + MINUTE)]
    assert values(quick, events, T0 + 9 * MINUTE)["ewma"].value == 3.0


@pytest.mark.parametrize(("kind", "expected"), [("Distinct", 3.0), ("TopK", (2.0, 1.0, 1.0))])
def test_only_texts_booleans_and_finite_numbers_have_an_identity(kind, expected):
    odd = plan([feature("f", kind, "rms < 0.0 ? dyn(v) : rms > 9.0 ? dyn(1.0 / 0.0) : dyn(rms)", k=3)])
    events = [event({"rms": x, "v": [1, 2, 3]}, T0) for x in (1.0, 1.0, 2.0, 0.5, -1.0, 10.0)]
    assert values(odd, events)["f"].value == expected


def test_every_aggregation_is_here():
    assert {entry["aggregation"] for entry in ALL} == set(Aggregation)
    assert len(document().features) == len(ALL)
