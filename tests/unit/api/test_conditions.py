"""Conditions: the table, and when lastTransitionTime moves."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.conditions import (
    Observation,
    Outcome,
    Progressing,
    Ready,
    Stalled,
    Waiting,
    conditions_for,
    find,
    set_condition,
)
from skerry_api.v1alpha1.condition import Condition, ConditionStatus

START = datetime(2026, 1, 1, tzinfo=UTC)
OUTCOMES = [
    Ready(),
    Progressing("Downloading", "3 of 5 MB"),
    Waiting("StoreDown", "the store doesn't answer"),
    Stalled("SignerNotAllowed", "bind the signer in the TrustPolicy"),
]
REACHABLE = Observation("Reachable", ConditionStatus.TRUE, "Reported", "")


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [
        (OUTCOMES[0], {"Ready": "True"}),
        (OUTCOMES[1], {"Ready": "Unknown", "Reconciling": "True"}),
        (OUTCOMES[2], {"Ready": "False", "Reconciling": "True"}),
        (OUTCOMES[3], {"Ready": "False", "Stalled": "True"}),
    ],
)
def test_the_table(outcome: Outcome, expected: dict[str, str]):
    conditions = conditions_for(outcome, generation=7, now=START)

    assert {condition.type: condition.status for condition in conditions} == expected
    assert {(c.reason, c.message, c.observed_generation) for c in conditions} == {(outcome.reason, outcome.message, 7)}


def kstatus(conditions: tuple[Condition, ...]) -> str:
    """What kstatus makes of conditions, once observedGeneration is current."""
    status = {condition.type: condition.status for condition in conditions}
    if status.get("Stalled") == "True":
        return "Failed"
    if status.get("Reconciling") == "True":
        return "InProgress"
    return "Current" if status.get("Ready") == "True" else "InProgress"


@pytest.mark.parametrize(
    ("outcome", "expected"), list(zip(OUTCOMES, ["Current", "InProgress", "InProgress", "Failed"], strict=True))
)
def test_tools_read_it_as_it_is_meant(outcome: Outcome, expected: str):
    assert kstatus(conditions_for(outcome, generation=1, now=START)) == expected


@given(st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=12))
def test_a_transition_is_a_change_of_status_alone(history: list[Outcome]):
    conditions: tuple[Condition, ...] = ()
    since: dict[str, tuple[str, datetime]] = {}
    for minute, outcome in enumerate(history):
        now = START + timedelta(minutes=minute)
        conditions = conditions_for(outcome, generation=minute, now=now, previous=conditions, extra=[REACHABLE])
        status = {condition.type: str(condition.status) for condition in conditions}
        since = {
            kind: since[kind] if kind in since and since[kind][0] == value else (value, now)
            for kind, value in status.items()
        }

    assert {c.type: c.last_transition_time for c in conditions} == {kind: at for kind, (_, at) in since.items()}
    assert {c.observed_generation for c in conditions} == {len(history) - 1}


def test_what_is_not_observed_again_is_gone():
    before = conditions_for(Ready(), generation=1, now=START, extra=[REACHABLE])

    after = conditions_for(Ready(), generation=1, now=START, previous=before)

    assert [condition.type for condition in after] == ["Ready"]


def test_extra_conditions_follow_in_the_order_given():
    verified = Observation("Verified", ConditionStatus.FALSE, "Unsigned", "sign it")

    conditions = conditions_for(OUTCOMES[3], generation=1, now=START, extra=[verified, REACHABLE])

    assert [condition.type for condition in conditions] == ["Ready", "Stalled", "Verified", "Reachable"]


@pytest.mark.parametrize("kind", ["Ready", "Reconciling", "Stalled"])
def test_what_the_table_computes_can_not_be_set(kind: str):
    mine = Observation(kind, ConditionStatus.TRUE, "BecauseISaySo")

    with pytest.raises(ValueError, match=kind):
        conditions_for(Ready(), generation=1, now=START, extra=[mine])
    with pytest.raises(ValueError, match=kind):
        set_condition((), mine, generation=1, now=START)


def test_a_type_can_not_be_given_twice():
    with pytest.raises(ValueError, match="differ from each other"):
        conditions_for(Ready(), generation=1, now=START, extra=[REACHABLE, REACHABLE])


def test_set_condition_replaces_in_place_and_keeps_the_time_of_an_unchanged_status():
    later = START + timedelta(hours=1)
    before = conditions_for(Ready(), generation=1, now=START, extra=[REACHABLE])

    same = set_condition(before, Observation("Reachable", ConditionStatus.TRUE, "Again", "m"), generation=2, now=later)
    changed = set_condition(same, Observation("Reachable", ConditionStatus.FALSE, "Gone"), generation=2, now=later)
    added = set_condition(changed, Observation("Held", ConditionStatus.TRUE, "Asked"), generation=2, now=later)

    assert same[0] == before[0]
    assert (same[1].reason, same[1].observed_generation, same[1].last_transition_time) == ("Again", 2, START)
    assert changed[1].last_transition_time == later
    assert [condition.type for condition in added] == ["Ready", "Reachable", "Held"]


def test_find_gives_a_condition_by_type():
    conditions = conditions_for(Ready(), generation=1, now=START)

    assert find(conditions, "Ready") == conditions[0]
    assert find(conditions, "Stalled") is None


@pytest.mark.parametrize("message", ["", "x" * 1024, "x" * 1025, "ü" * 5000])
def test_a_long_message_is_cut_rather_than_making_the_status_unwritable(message: str):
    (condition,) = conditions_for(Ready(message=message), generation=1, now=START)

    assert len(condition.message) <= 1024
    assert condition.message == message or message.startswith(condition.message.removesuffix("…"))
