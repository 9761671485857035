import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.contents import LogName
from skerry_core.batch.key import (
    BatchName,
    Format,
    Resend,
    batch_key,
    log_prefix,
    parse_key,
    parse_resend_key,
    resend_key,
    upload_mark,
)
from tests.unit.batch.strategies import LOG

MARK = "0123abcd"
positions = st.tuples(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1)).map(sorted)


@given(positions, st.sampled_from(Format))
def test_a_key_says_what_its_batch_is(ends, form):
    key = batch_key(LOG, *ends, form, upload_mark())
    assert parse_key("clinic-3", key) == BatchName(LOG, *ends, form)
    assert key.startswith(log_prefix(LOG))


@given(positions, st.sampled_from(Format))
def test_each_upload_of_a_batch_has_a_key_of_its_own(ends, form):
    one, other = (batch_key(LOG, *ends, form, upload_mark()) for _ in range(2))
    assert one != other


def test_keys_of_older_sites_have_no_mark():
    assert parse_key("clinic-3", KEY.replace(f".{MARK}", "")) == BatchName(LOG, 1, 2, Format.JSONL)


@given(positions)
def test_a_request_says_what_it_asks_for(ends):
    assert parse_resend_key("clinic-3", resend_key(LOG, *ends)) == Resend(LOG, *ends)


@given(positions, positions)
def test_keys_sort_as_positions_do(one, other):
    keys = [batch_key(LOG, *ends, Format.COLUMNS, MARK) for ends in (one, other)]
    assert (keys[0] < keys[1]) == (one < other)


KEY = batch_key(LOG, 1, 2, Format.JSONL, MARK)


@pytest.mark.parametrize(
    "key",
    [
        "",
        f"/{KEY}",
        f"{KEY}/",
        f"{KEY}\n",
        KEY.replace("node-1", ".."),
        KEY.replace("node-1", "a/b"),
        KEY.replace("node-1", "n" * 254),
        KEY.replace("jsonl", "json"),
        KEY.replace(MARK, MARK[1:]),
        KEY.replace(MARK, MARK.upper()),
        KEY.replace(MARK, f"{MARK}.{MARK}"),
        KEY.replace("00000000000000000001-", "0000000000000000001-"),
        KEY.replace("00000000000000000001-", "00000000000000000003-"),
        KEY.replace("00000000000000000002.", "99999999999999999999."),
        KEY.replace("1-", "\N{ARABIC-INDIC DIGIT ONE}-"),
        resend_key(LOG, 1, 2),
    ],
)
def test_other_names_are_no_batches(key):
    assert parse_key("clinic-3", key) is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "é", "n" * 254])
def test_a_name_that_is_no_part_of_a_key_is_refused(name):
    with pytest.raises(ValueError, match="can't be part of a key"):
        batch_key(LogName("clinic-3", name, "imu", "e"), 1, 2, Format.JSONL, MARK)
