"""Windows against a calendar that is walked minute by minute, and over the days on which clocks are set."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.sync_policy.document import Window
from skerry_edge.sync.schedule.windows import Calendar, state_of


def window(schedule: str, hours: float, zone: str = "UTC") -> Window:
    return Window(schedule=schedule, time_zone=zone, duration=timedelta(hours=hours))


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


NIGHT = window("0 1 * * *", 4, "Europe/Berlin")


@pytest.mark.parametrize(
    ("at", "is_open", "until"),
    [
        ("2026-01-10T00:00", True, "2026-01-10T04:00"),
        ("2026-01-10T03:59:59.5", True, "2026-01-10T04:00"),
        ("2026-01-10T04:00", False, "2026-01-11T00:00"),
        ("2026-01-09T23:59:59.999", False, "2026-01-10T00:00"),
        ("2026-07-10T00:30", True, "2026-07-10T03:00"),
        # 01:00 comes before the skipped hour, 02:00 to 03:00 local; four hours are four hours.
        ("2026-03-29T03:59", True, "2026-03-29T04:00"),
        ("2026-03-29T04:00", False, "2026-03-29T23:00"),
        ("2026-10-25T02:59", True, "2026-10-25T03:00"),
        ("2026-10-25T03:00", False, "2026-10-26T00:00"),
    ],
)
def test_a_nightly_window_in_berlin(at, is_open, until):
    state = state_of(NIGHT, utc(at))
    assert (state.open, state.until) == (is_open, utc(until))


@pytest.mark.parametrize(
    ("at", "is_open"),
    [
        ("2026-03-29T01:00", True),  # 02:30 is skipped: it opens at 03:00 local
        ("2026-03-29T01:59", True),
        ("2026-03-29T02:00", False),
        ("2026-10-25T00:30", True),  # 02:30 comes twice: it opens at the first
        ("2026-10-25T01:29", True),
        ("2026-10-25T01:31", False),
    ],
)
def test_a_window_in_the_hour_that_is_skipped_or_repeated(at, is_open):
    assert state_of(window("30 2 * * *", 1, "Europe/Berlin"), utc(at)).open is is_open


def test_a_window_longer_than_its_period_never_closes():
    at = utc("2026-01-01T00:00")
    state = state_of(window("0 * * * *", 2), at)
    assert state.open
    assert state.until >= at + timedelta(hours=1)


@pytest.mark.parametrize("bad", [window("61 * * * *", 1), window("0 0 * * *", 1, "Mars/Olympus"), window("", 1)])
def test_what_cannot_be_evaluated_is_closed(bad):
    assert not state_of(bad, utc("2026-01-01T00:00")).open


def test_no_windows_are_always_open_and_several_are_their_union():
    calendar, at = Calendar(), utc("2026-01-01T06:30")
    assert calendar.opening((), at).open
    assert calendar.opening((window("0 1 * * *", 1), window("0 6 * * *", 1)), at).open
    closed = calendar.opening((window("0 1 * * *", 1), window("0 12 * * *", 1)), at)
    assert (closed.open, closed.until) == (False, utc("2026-01-01T12:00"))


def test_a_clock_that_is_set_back_is_followed():
    calendar = Calendar()
    assert calendar.opening((NIGHT,), utc("2026-01-10T01:00")).open
    assert not calendar.opening((NIGHT,), utc("2026-01-09T12:00")).open


zones = st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu"])
schedules = st.sampled_from(["*/20 * * * *", "0 */6 * * *", "30 2 * * *", "15 1 * * 0", "0 0 1 * *", "5 * * * *"])


@settings(max_examples=80, deadline=None)
@given(
    schedules, zones, st.integers(1, 30 * 60),
    st.integers(0, 254 * 24 * 60).map(lambda minutes: datetime(2026, 3, 1, tzinfo=UTC) + timedelta(minutes=minutes)),
)  # fmt: skip
def test_agrees_with_walking_through_every_firing(schedule, zone, minutes, now):
    opens = Window(schedule=schedule, time_zone=zone, duration=timedelta(minutes=minutes))
    begin = (now - opens.duration - timedelta(days=2)).astimezone(ZoneInfo(zone))
    firings = []
    for firing in CronSim(schedule, begin):
        firings.append(firing.astimezone(UTC))
        if firings[-1] > now + timedelta(hours=3):
            break
    past = [at for at in firings if at <= now]
    state = state_of(opens, now)
    assert state.open is any(now < at + opens.duration for at in past)
    if not state.open:
        assert state.until == min(at for at in firings if at > now)
