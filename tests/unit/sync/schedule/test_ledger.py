"""Budgets against a list of everything that was ever sent."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.syncpolicy import OnMetered
from skerry_core.sync_policy.document import Budget
from skerry_edge.sync.schedule.ledger import BUCKET, BURST_SECONDS, CARRY_HOURS, DAY, HOUR, Ledger


def budget(*, second: int | None = None, hour: int | None = None, day: int | None = None) -> Budget:
    return Budget(bytes_per_second=second, bytes_per_hour=hour, bytes_per_day=day, on_metered=OnMetered.SEND)


@dataclass
class Sent:
    """What went, as (axis time, bytes)."""

    events: list[tuple[float, int]] = field(default_factory=list)

    def most(self, seconds: float) -> int:
        """The most bytes of any window of this length, wherever it begins."""
        most = running = begin = 0
        for at, size in self.events:
            running += size
            while self.events[begin][0] <= at - seconds:
                running -= self.events[begin][1]
                begin += 1
            most = max(most, running)
        return most


def test_room_shrinks_with_use_and_comes_back_as_it_ages():
    ledger, limits = Ledger(), budget(hour=1000)
    assert ledger.room("Bulk", limits, 0) == 1000
    ledger.settle(ledger.reserve("Bulk", 600, 0, limits), 550, 10)
    assert ledger.room("Bulk", limits, 10) == 450
    assert ledger.wait("Bulk", limits, 450, 10) == 0
    assert ledger.wait("Bulk", limits, 451, 10) == HOUR + BUCKET - 10
    assert ledger.room("Bulk", limits, HOUR + BUCKET) == 1000


def test_kinds_do_not_touch_each_other_and_no_budget_is_no_limit():
    ledger = Ledger()
    ledger.spend("Bulk", 10**12, 0)
    assert ledger.room("Diagnostics", budget(hour=10), 0) == 10
    assert ledger.room("Bulk", budget(), 0) is None
    assert ledger.wait("Bulk", budget(), 10**15, 0) == 0


@pytest.mark.parametrize(
    ("limits", "size", "wait"),
    [
        (budget(day=1000), 1001, None),
        (budget(hour=100), 100 * CARRY_HOURS + 1, None),
        (budget(hour=100), 100 * CARRY_HOURS, 0),
        (budget(hour=100, day=150), 151, None),
        (budget(hour=100, day=150), 150, 0),
    ],
)
def test_what_can_never_go_is_told_apart(limits, size, wait):
    assert Ledger().wait("Bulk", limits, size, 0) == wait


def test_a_record_too_large_for_an_hour_is_paid_for_by_hours_of_silence():
    ledger, limits = Ledger(), budget(hour=100)
    assert ledger.wait("Bulk", limits, 450, 0) == 0
    ledger.reserve("Bulk", 450, 0, limits)
    assert ledger.room("Bulk", limits, 3 * HOUR) == 0
    assert ledger.wait("Bulk", limits, 50, 0) == 4 * HOUR + BUCKET
    assert ledger.wait("Bulk", limits, 51, 0) == 5 * HOUR + BUCKET


def test_a_share_is_kept_for_others():
    ledger, limits = Ledger(), budget(hour=1000)
    assert ledger.room("Bulk", limits, 0, spare=0.25) == 750
    ledger.spend("Bulk", 700, 0)
    assert ledger.wait("Bulk", limits, 51, 1, spare=0.25) > 0
    assert ledger.wait("Bulk", limits, 300, 1) == 0


def test_a_rate_starts_empty_and_piles_up_for_seconds_only():
    ledger, limits = Ledger(), budget(second=100)
    assert ledger.room("Bulk", limits, 0) == 0
    assert ledger.room("Bulk", limits, 5) == 500
    assert ledger.room("Bulk", limits, 10**6) == 100 * BURST_SECONDS
    ledger.reserve("Bulk", 1500, 10**6, limits)
    assert ledger.room("Bulk", limits, 10**6 + 5) == 0
    assert ledger.wait("Bulk", limits, 100, 10**6) == 6


def test_what_was_used_outlives_the_process():
    ledger, limits = Ledger(), budget(hour=1000, day=5000)
    ledger.spend("Bulk", 600, 0)
    ledger.spend("Bulk", 100, 2 * HOUR)
    again = Ledger.restored(ledger.state(2 * HOUR))
    assert again.used("Bulk", DAY, 2 * HOUR) == 700
    assert again.room("Bulk", limits, 2 * HOUR) == 900


@pytest.mark.parametrize("state", [{"Bulk": [[1]]}, {"Bulk": [["x", 2]]}, {"Bulk": 7}, []])
def test_a_state_that_is_none_is_an_error(state):
    with pytest.raises((ValueError, TypeError, AttributeError)):
        Ledger.restored(state)


requests = st.lists(
    st.tuples(st.integers(0, 4000), st.integers(1, 700), st.floats(0, 1), st.integers(0, 400)), max_size=120
)
budgets = st.builds(
    budget,
    second=st.none() | st.integers(1, 50),
    hour=st.none() | st.integers(50, 1500),
    day=st.none() | st.integers(500, 9000),
)


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(requests, budgets, st.integers(0, 3))
def test_no_hour_and_no_day_ever_has_more_than_its_budget(story, limits, restarts):
    ledger, sent, at = Ledger(), Sent(), 0.0
    for number, (pause, wanted, share, lasts) in enumerate(story):
        at += pause
        room = ledger.room("Bulk", limits, at)
        size = wanted if room is None else min(wanted, room)
        if size <= 0:
            continue
        assert ledger.wait("Bulk", limits, size, at) == 0
        reserved = ledger.reserve("Bulk", size, at, limits)
        if restarts and number % restarts == 0:
            # Killed meanwhile: what was set aside stays so.
            ledger = Ledger.restored(ledger.state(at))
            sent.events.append((at, size))
            continue
        actual = int(size * share)
        at += lasts
        ledger.settle(reserved, actual, at)
        sent.events.append((at, actual))
    if limits.bytes_per_hour is not None:
        assert sent.most(HOUR) <= limits.bytes_per_hour
    if limits.bytes_per_day is not None:
        assert sent.most(DAY) <= limits.bytes_per_day


@settings(max_examples=150, deadline=None)
@given(requests, budgets, st.integers(1, 4000))
def test_after_the_wait_it_fits_and_a_moment_before_it_does_not(story, limits, size):
    ledger, at = Ledger(), 0.0
    for pause, wanted, _, _ in story:
        at += pause
        room = ledger.room("Bulk", limits, at)
        ledger.reserve("Bulk", wanted if room is None else min(wanted, room), at, limits)
    wait = ledger.wait("Bulk", limits, size, at)
    if wait:
        assert ledger.wait("Bulk", limits, size, at + wait * 0.99) > 0
        assert ledger.wait("Bulk", limits, size, at + wait) <= 1e-6


@settings(max_examples=80, deadline=None)
@given(st.integers(10, 100), st.lists(st.tuples(st.integers(0, 20_000), st.integers(1, 2400)), max_size=60))
def test_carried_records_keep_to_the_budgets_of_their_hours(hour, story):
    limits, ledger, sent, at, largest = budget(hour=hour), Ledger(), Sent(), 0.0, 1
    for pause, size in story:
        at += pause
        if ledger.wait("Bulk", limits, size, at) == 0:
            ledger.settle(ledger.reserve("Bulk", size, at, limits), size, at)
            sent.events.append((at, size))
            largest = max(largest, size)
    for hours in range(-(-largest // hour), CARRY_HOURS + 1):
        assert sent.most(hours * HOUR) <= hours * hour
