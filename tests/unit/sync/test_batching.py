import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.events.identity import POWER_CUT_SKIP
from skerry_edge.events.record import Record
from skerry_edge.sync.batching import (
    MAX_BYTES,
    MAX_RECORDS,
    Position,
    batch_key,
    cut,
    depth,
    encode,
    events_prefix,
    position,
    removable,
)

PREFIX = events_prefix("node-1", "ab12")


def record(seq: int, size: int = 10) -> Record:
    return Record(seq, b"x" * size)


def test_a_key_sorts_as_its_numbers_do():
    batch = [record(7), record(9)]
    assert batch_key(PREFIX, batch) == f"events/node-1/ab12/{'7':0>20}-{'9':0>20}.jsonl.zst"
    assert batch_key(PREFIX, [record(99)]) < batch_key(PREFIX, [record(100)])


@pytest.mark.parametrize(
    ("records", "taken"),
    [
        ([], 0),
        ([record(1)], 1),
        ([record(n) for n in range(MAX_RECORDS)], MAX_RECORDS),
        ([record(n) for n in range(MAX_RECORDS + 5)], MAX_RECORDS),
        ([record(n, MAX_BYTES // 4) for n in range(5)], 3),
        ([record(1, MAX_BYTES - 1), record(2)], 1),
        ([record(1, MAX_BYTES * 2), record(2)], 1),
    ],
    ids=["none", "one", "full", "more than full", "newlines counted", "exactly full", "one too large goes alone"],
)
def test_cuts_by_records_and_bytes(records, taken):
    assert list(cut(records)) == records[:taken]


@given(st.lists(st.integers(0, MAX_BYTES), max_size=30))
def test_cutting_again_and_again_takes_everything_once_in_order(sizes):
    left = [record(seq, size) for seq, size in enumerate(sizes)]
    batches = []
    while left:
        batch = cut(left)
        assert len(batch) == 1 or len(encode(batch)) <= MAX_BYTES
        batches += batch
        left = left[len(batch) :]
    assert [item.seq for item in batches] == list(range(len(sizes)))


@pytest.mark.parametrize(
    ("listed", "noted", "expected"),
    [
        ([], None, 0),
        ([], Position("ab12", 40), 40),
        ([], Position("other", 40), 0),
        ([(1, 10), (11, 25)], None, 25),
        ([(1, 10), (11, 25)], Position("ab12", 10), 25),
        ([(1, 10)], Position("ab12", 25), 25),
        ([(1, 10)], Position("other", 25), 10),
    ],
)
def test_position_is_the_most_that_store_and_note_prove(listed, noted, expected):
    keys = [batch_key(PREFIX, [record(first), record(last)]) for first, last in listed]
    assert position(PREFIX, "ab12", keys, noted) == Position("ab12", expected)


@pytest.mark.parametrize(
    "key",
    [
        "events/node-1/other/00000000000000000001-00000000000000000009.jsonl.zst",
        "events/node-10/ab12/00000000000000000001-00000000000000000009.jsonl.zst",
        "events/node-1/ab12/deeper/00000000000000000001-00000000000000000009.jsonl.zst",
        "events/node-1/ab12/00000000000000000001-00000000000000000009.jsonl.zst.part",
        "events/node-1/ab12/1-9.jsonl.zst",
        "reports/2026.json",
    ],
)
def test_other_objects_prove_nothing(key):
    assert position(PREFIX, "ab12", [key], None).seq == 0


@pytest.mark.parametrize(
    ("firsts", "uploaded", "expected"),
    [
        ([], 100, ()),
        ([1], 100, ()),
        ([1, 11], 9, ()),
        ([1, 11], 10, (1,)),
        ([1, 11, 21], 20, (1, 11)),
        ([1, 11, 21], 1000, (1, 11)),
        ([21, 1, 11], 10, (1,)),
    ],
)
def test_only_closed_and_wholly_uploaded_segments_go(firsts, uploaded, expected):
    assert removable(firsts, uploaded) == expected


@pytest.mark.parametrize(
    ("firsts", "next_seq", "uploaded", "expected"),
    [
        ([], 1, 0, 0),
        ([1], 1, 0, 0),
        ([1], 51, 0, 50),
        ([1], 51, 50, 0),
        ([1, 31], 51, 20, 30),
        ([31], 51, 10, 20),
        ([1, 31 + POWER_CUT_SKIP], 51 + POWER_CUT_SKIP, 20, 30),
        ([1, 31 + POWER_CUT_SKIP], 51 + POWER_CUT_SKIP, 40 + POWER_CUT_SKIP, 10),
        ([1], 31 + POWER_CUT_SKIP, 30, 0),
    ],
)
def test_depth_counts_records_and_not_skipped_numbers(firsts, next_seq, uploaded, expected):
    assert depth(firsts, next_seq, uploaded) == expected
