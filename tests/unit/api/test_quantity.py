"""Byte counts as Kubernetes writes them."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.quantity import BYTES_PATTERN, format_bytes, parse_bytes


@given(st.integers(min_value=0, max_value=2**53))
def test_a_count_survives_being_written_and_read(count: int):
    text = format_bytes(count)

    assert re.fullmatch(BYTES_PATTERN, text)
    assert len(text) <= 32
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("0", 0), ("65536", 65_536), ("64Ki", 65_536), ("20M", 20_000_000), ("1k", 1000), ("1.5Gi", 3 << 29),
        ("2T", 2 * 10**12), ("1Ti", 1 << 40), ("0.1Ki", 103), ("0.5", 1),
    ],
)  # fmt: skip
def test_counts_are_read_as_kubernetes_reads_them(text: str, count: int):
    assert parse_bytes(text) == count


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0"), (65_536, "64Ki"), (20_000_000, "20M"), (1 << 40, "1Ti"), (1025, "1025"), (1000, "1k")]
)
def test_counts_are_written_in_the_largest_unit_that_is_exact(count: int, text: str):
    assert format_bytes(count) == text


@pytest.mark.parametrize("text", ["", "Ki", "-1", "+1", "1e3", "1m", "64 Ki", "64KiB", "64K", "1\n", "٣", "9" * 33])
def test_what_is_no_byte_count_is_refused(text: str):
    with pytest.raises(ValueError, match="is not a byte count"):
        parse_bytes(text)


def test_a_negative_count_can_not_be_written():
    with pytest.raises(ValueError, match="is negative"):
        format_bytes(-1)
