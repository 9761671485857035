from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.micros import rfc3339
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.rfc3339 import parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(*parts):
    return (datetime(*parts, tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1970-01-01T00:00:00Z", 0),
        ("2026-01-31T12:00:00Z", micros(2026, 1, 31, 12)),
        ("2026-01-31t12:00:00z", micros(2026, 1, 31, 12)),
        ("2026-01-31T12:00:00.5Z", micros(2026, 1, 31, 12, 0, 0, 500_000)),
        ("2026-01-31T12:00:00.000001999Z", micros(2026, 1, 31, 12, 0, 0, 1)),
        ("2026-01-31T12:00:00.123456789123456789Z", micros(2026, 1, 31, 12, 0, 0, 123_456)),
        ("2026-01-31T12:00:00+05:30", micros(2026, 1, 31, 6, 30)),
        ("2026-01-31T12:00:00-23:59", micros(2026, 2, 1, 11, 59)),
        ("2026-01-31T12:00:00-00:00", micros(2026, 1, 31, 12)),
        ("2016-12-31T23:59:60Z", micros(2017, 1, 1)),
        ("2016-12-31T23:59:60.25Z", micros(2017, 1, 1, 0, 0, 0, 250_000)),
        ("2024-02-29T00:00:00Z", micros(2024, 2, 29)),
        ("0001-01-01T00:00:00Z", micros(1, 1, 1)),
        ("9999-12-31T23:59:59.999999Z", micros(9999, 12, 31, 23, 59, 59, 999_999)),
        ("1969-12-31T23:59:59.999999Z", -1),
    ],
)
def test_times(text, expected):
    assert parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2026-01-31",
        "2026-01-31T12:00:00",
        "2026-01-31 12:00:00Z",
        "2026-01-31T12:00Z",
        "2026-1-31T12:00:00Z",
        "2026-02-29T12:00:00Z",
        "2026-13-01T12:00:00Z",
        "2026-01-31T24:00:00Z",
        "2026-01-31T12:60:00Z",
        "2026-01-31T12:00:61Z",
        "2026-01-31T12:00:00.Z",
        "2026-01-31T12:00:00+0530",
        "2026-01-31T12:00:00+24:00",
        "2026-01-31T12:00:00Z\n",
        " 2026-01-31T12:00:00Z",
        "2026-01-31T12:00:00ZZ",
        "٢٠٢٦-01-31T12:00:00Z",
        "20260131T120000Z",
        "0000-01-01T00:00:00Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:60Z",
        "2026-01-31T12:00:00." + "1" * 65 + "Z",
    ],
)
def test_what_is_no_time(text):
    with pytest.raises(MalformedError) as refused:
        parse_time(text)
    assert refused.value.reason == "InvalidTime"


@given(
    moment=st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
    offset=st.integers(-23 * 60 - 59, 23 * 60 + 59),
    extra=st.text("0123456789", max_size=6),
)
def test_any_offset_and_precision_names_the_same_instant(moment, offset, extra):
    local = moment.replace(tzinfo=timezone(timedelta(minutes=offset)))
    sign = "-" if offset < 0 else "+"
    zone = f"{sign}{abs(offset) // 60:02}:{abs(offset) % 60:02}"
    text = f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06}{extra}{zone}"
    expected = (local - EPOCH) // timedelta(microseconds=1)
    assert parse_time(text) == expected
    assert parse_time(rfc3339(expected)) == expected
