"""Windows of rollups, pure: a recount wherever they are cut, and what ends, opens and is taken back."""

import json
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.rollups.series import Series
from skerry_core.rollups.state import ValueKind, encode
from skerry_edge.ingest.rfc3339 import parse_time
from skerry_edge.sync.outbound.rollups import windows as windows_module
from skerry_edge.sync.outbound.rollups.told import Told
from skerry_edge.sync.outbound.rollups.windows import GRACE, Opened, Values, close, fold
from tests.unit.sync_outbound.rollup_node import MINUTE, state

V = Series((), "v", ValueKind.NUMBER)


RECORDS = st.lists(
    st.tuples(
        st.integers(0, 6 * MINUTE),
        st.integers(-2 * MINUTE, 4 * MINUTE),
        st.dictionaries(st.sampled_from(["a", "b"]), st.lists(st.integers(-9, 9), min_size=1, max_size=3), min_size=1),
        st.sampled_from(["ann", "bob"]),
    ),
    max_size=20,
)


def values_of(records):
    return [
        Values(
            seq,
            received - delay,
            received,
            {Series((), path, ValueKind.NUMBER): numbers for path, numbers in data.items()},
            seq,
            who,
        )
        for seq, (received, delay, data, who) in enumerate(records)
    ]


@given(RECORDS, st.integers(0, 20))
def test_fold_is_a_recount_wherever_it_is_cut(records, cut):
    values = values_of(records)
    before = fold({}, Opened(), "e", values[:cut], MINUTE)
    windows = fold(before.windows, before.opened, "e", values[cut:], MINUTE).windows
    assert {key: window.key for key, window in windows.items()} == {key: key for key in windows}
    expected = defaultdict(list)
    for each in values:
        time = min(each.time, each.received)
        for series, numbers in each.values.items():
            expected[each.received // MINUTE, time // MINUTE, series] += [(number, time) for number in numbers]
    assert {(key.ingest, key.pane, key.series): encode(window.state) for key, window in windows.items()} == {
        key: encode(state(*(number for number, _ in seen), times=[time for _, time in seen]))
        for key, seen in expected.items()
    }


@pytest.mark.parametrize(
    ("ingest", "until", "over"),
    [
        (0, MINUTE + GRACE - 1, False),
        (0, MINUTE + GRACE, True),
        (2, 2 * MINUTE, False),
        (2, MINUTE, False),
        (3, MINUTE, True),
    ],
)
def test_close(ingest, until, over):
    received = ingest * MINUTE
    windows = fold({}, Opened(), "e", [Values(1, 0, received, {V: [1]})], MINUTE).windows.values()
    assert [len(part) for part in close(windows, until)] == [int(over), int(not over)]


def test_what_opens_too_much_is_left_out(monkeypatch):
    monkeypatch.setattr(windows_module, "MAX_OPENED", 2)
    values = [Values(seq, seq * MINUTE, 5 * MINUTE, {V: [seq, seq]}) for seq in (1, 2, 3, 1)]
    folded = fold({}, Opened(), "e", values, MINUTE)
    assert [window.pane for window in folded.windows.values()] == [1, 2]
    assert folded.left_out == 2
    later = fold(folded.windows, folded.opened, "e", [Values(4, 0, 6 * MINUTE, {V: [1]})], MINUTE)
    assert (later.left_out, later.opened) == (0, Opened(6, 1))


@pytest.mark.parametrize(
    ("ahead", "width"),
    [(10**6 * MINUTE, MINUTE), (2 * MINUTE, MINUTE), (60 * MINUTE, 60 * MINUTE)],
    ids=["clock years ahead", "clock a stretch ahead", "longer windows"],
)
def test_a_stretch_that_was_called_later_leaves_nothing_out_for_ever(monkeypatch, ahead, width):
    """A clock that was ahead and was set right, or a policy with longer windows."""
    monkeypatch.setattr(windows_module, "MAX_OPENED", 2)
    at = 600 * MINUTE
    opened = fold({}, Opened(), "e", [Values(n, n * MINUTE, at + ahead, {V: [1]}) for n in (1, 2)], MINUTE).opened
    for n in range(4):
        received = at + n * width
        folded = fold({}, opened, "e", [Values(n, received, received, {V: [1]})], width)
        opened = folded.opened
    assert folded.left_out == 0


def test_neighbouring_stretches_that_come_mixed_are_bounded_together(monkeypatch):
    monkeypatch.setattr(windows_module, "MAX_OPENED", 2)
    values = [Values(n, n * MINUTE, (9 + n % 2) * MINUTE, {V: [1]}) for n in range(8)]
    folded = fold({}, Opened(), "e", values, MINUTE)
    assert (len(folded.windows), folded.left_out) == (3, 5)


def test_a_window_that_is_opened_again_is_another():
    first, again, other = (
        next(iter(fold({}, Opened(), epoch, [Values(seq, 5, 5, {V: [1]})], MINUTE).windows.values()))
        for epoch, seq in (("e", 1), ("e", 2), ("f", 1))
    )
    assert len({Told("site", "node", "readings", window).id for window in (first, again, other, first)}) == 3


def test_a_window_that_begins_before_the_calendar_is_told_all_the_same():
    first, week = parse_time("0001-01-01T00:00:00Z"), 7 * 24 * 60 * MINUTE
    window = next(iter(fold({}, Opened(), "e", [Values(1, first, 5, {V: [1]})], week).windows.values()))
    told = json.loads(Told("site", "node", "readings", window).record(5).body)["data"]
    assert (told["start"], told["count"]) == (f"{first // week * week} µs", 1)
