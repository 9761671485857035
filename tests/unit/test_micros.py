"""Times in microseconds, to both ends of the calendar and beyond."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.micros import floored, micros_in, micros_of, rfc3339, time_of

FIRST, LAST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)
MICROSECOND, DAY = timedelta(microseconds=1), timedelta(days=1)
ZONES = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES)


@pytest.mark.parametrize(
    ("at", "micros", "text"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), 0, "1970-01-01T00:00:00.000000Z"),
        (
            datetime(1970, 1, 1, 5, 30, tzinfo=timezone(timedelta(hours=5, minutes=30))),
            0,
            "1970-01-01T00:00:00.000000Z",
        ),
        (datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC), -1, "1969-12-31T23:59:59.999999Z"),
        (datetime(2026, 2, 1, 12, tzinfo=UTC), 1_769_947_200_000_000, "2026-02-01T12:00:00.000000Z"),
        (FIRST, -62_135_596_800_000_000, "0001-01-01T00:00:00.000000Z"),
        (LAST, 253_402_300_799_999_999, "9999-12-31T23:59:59.999999Z"),
    ],
)
def test_times(at, micros, text):
    assert micros_of(at) == micros
    assert time_of(micros) == at
    assert rfc3339(micros) == text


@pytest.mark.parametrize("micros", [micros_of(FIRST) - 1, micros_of(LAST) + 1, -(2**63), 2**63 - 1, 10**30])
def test_what_is_in_no_calendar_is_told_as_its_number(micros):
    assert rfc3339(micros) == f"{micros} µs"
    with pytest.raises(OverflowError):
        time_of(micros)


@given(MOMENTS)
def test_any_moment_comes_back(at):
    micros = micros_of(at)
    if micros_of(FIRST) <= micros <= micros_of(LAST):
        assert time_of(micros) == at
        assert datetime.fromisoformat(rfc3339(micros)) == at
    else:
        assert rfc3339(micros) == f"{micros} µs"


@given(st.timedeltas())
def test_a_span_is_counted_exactly(span):
    assert micros_in(span) * MICROSECOND == span


@pytest.mark.parametrize(
    ("at", "unit", "expected"),
    [
        (datetime(1970, 1, 1, tzinfo=UTC), DAY, datetime(1970, 1, 1, tzinfo=UTC)),
        (datetime(1969, 12, 31, 23, 59, tzinfo=UTC), DAY, datetime(1969, 12, 31, tzinfo=UTC)),
        (datetime(2026, 2, 1, 12, 7, 30, tzinfo=UTC), timedelta(minutes=5), datetime(2026, 2, 1, 12, 5, tzinfo=UTC)),
        (datetime(2026, 2, 1, 1, tzinfo=timezone(timedelta(hours=2))), DAY, datetime(2026, 1, 31, tzinfo=UTC)),
        (datetime(1970, 1, 9, tzinfo=UTC), 7 * DAY, datetime(1970, 1, 8, tzinfo=UTC)),
        (LAST, MICROSECOND, LAST),
        (FIRST, DAY, FIRST),
    ],
)
def test_a_time_goes_down_to_a_multiple_since_1970(at, unit, expected):
    found = floored(at, unit)
    assert (found, found.tzinfo) == (expected, UTC)


@pytest.mark.parametrize(
    ("at", "unit"),
    [(FIRST, 7 * DAY), (datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))), MICROSECOND)],
)
def test_there_is_no_multiple_before_the_calendar(at, unit):
    with pytest.raises(OverflowError):
        floored(at, unit)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=ZONES), st.timedeltas(MICROSECOND, 300 * DAY))  # noqa: DTZ001
def test_a_multiple_is_the_last_one(at, unit):
    found = floored(at, unit)
    assert found <= at < found + unit
    assert micros_of(found) % micros_in(unit) == 0
