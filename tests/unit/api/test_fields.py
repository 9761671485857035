"""Durations as Go writes them, and numbers that JSON can't carry."""

import math
import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from skerry_api.v1alpha1.fields import DURATION_PATTERN, Duration, Measured, format_duration, parse_duration

DURATION = TypeAdapter(Duration)
MEASURED = TypeAdapter(Measured)


@given(st.integers(min_value=0, max_value=10**12).map(lambda milliseconds: timedelta(milliseconds=milliseconds)))
def test_a_duration_survives_being_written_and_read(value: timedelta):
    text = format_duration(value)

    assert re.fullmatch(DURATION_PATTERN, text)
    assert len(text) <= 32
    assert parse_duration(text) == value


@given(st.timedeltas(min_value=timedelta(), max_value=timedelta(days=10_000)))
def test_writing_rounds_to_a_millisecond(value: timedelta):
    assert abs(parse_duration(format_duration(value)) - value) <= timedelta(microseconds=500)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("250ms", 0.25), ("5m", 300), ("1h30m", 5400), ("1.5h", 5400), ("90m", 5400), ("1m1s1ms", 61.001)],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float):
    assert DURATION.validate_python(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "5", "5 m", "5d", "-5m", "m", "5m\n", "1e3s", "∞", "9" * 30 + "h"])
def test_what_is_no_duration_is_refused(text: str):
    with pytest.raises(ValidationError):
        DURATION.validate_python(text)


def test_a_negative_duration_can_not_be_written():
    with pytest.raises(ValueError, match="is negative"):
        format_duration(timedelta(seconds=-1))


@pytest.mark.parametrize(("number", "kept"), [(0.5, 0.5), (math.nan, None), (math.inf, None), (-math.inf, None)])
def test_a_measurement_that_is_no_number_is_absent(number: float, kept: float | None):
    assert MEASURED.validate_python(number) == kept
