"""Statistics instead of values: windows, how few records tell nothing, and each told once whatever dies."""

import math
from copy import deepcopy
from datetime import timedelta
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.v1alpha1.syncpolicy import AGGREGATES, Consent, Statistic
from skerry_core.batch.contents import LogName
from skerry_core.errors import RetryError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import Aggregate, DataClassPolicy, Rule
from skerry_edge.sync.outbound.aggregates import derivation
from skerry_edge.sync.outbound.aggregates.derivation import Aggregates
from skerry_edge.sync.outbound.aggregates.windows import (
    GRACE,
    MAX_OPEN,
    Part,
    Sums,
    Told,
    Values,
    Window,
    close,
    fold,
    statistics,
)
from skerry_edge.sync.outbound.deriving import NOTE_EVERY, DerivingLoop
from skerry_edge.sync.outbound.parts import without
from tests.unit.sync_outbound.columns import data_class, stream
from tests.unit.sync_outbound.nodes import DerivingNode
from tests.unit.sync_outbound.test_consent import granted, withdrawn

MINUTE_US = 60_000_000
ALL = tuple(Statistic)
LOG = LogName("site", "node", "readings", "e")


def sums(total=10, greatest=3):
    return Sums(5, 5, total, 1, greatest)


def window(path="v", start=0, **parts):
    return Window(path, start, MINUTE_US, "e/1", parts or {"": Part(1, sums())})


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        (sums(), {"count": 5, "sum": 10, "mean": 2.0, "min": 1, "max": 3}),
        (sums(total=math.inf), {"count": 5, "min": 1, "max": 3}),
        (sums(total=10**400), {"count": 5, "min": 1, "max": 3}),
        (sums(greatest=2**60), {"count": 5, "sum": 10, "mean": 2.0, "min": 1}),
    ],
)
def test_statistics(of, expected):
    assert statistics(of, ALL) == expected
    assert statistics(of, (Statistic.COUNT,)) == {"count": 5}


NUMBERS = st.lists(st.integers(-1000, 1000) | st.floats(-1e6, 1e6), min_size=1, max_size=3)
RECORDS = st.lists(
    st.tuples(
        st.integers(0, 5 * MINUTE_US),
        st.dictionaries(st.sampled_from(["a", "b"]), NUMBERS, min_size=1),
        st.sampled_from(["ann", "bob", "eve"]),
    ),
    max_size=20,
)


@given(RECORDS, st.integers(0, 20))
def test_fold_is_a_recount_wherever_it_is_cut(records, cut):
    values = [Values(seq, received, numbers, seq, who) for seq, (received, numbers, who) in enumerate(records)]
    before = fold((), "e", values[:cut], lambda _: MINUTE_US).windows
    was = deepcopy(before)
    windows = fold(before, "e", values[cut:], lambda _: MINUTE_US).windows
    assert before == was
    for one in windows:
        inside = [
            record.numbers[one.path]
            for record in values
            if one.path in record.numbers and one.start <= record.received < one.end
        ]
        numbers = [number for part in inside for number in part]
        found = one.sums
        assert (found.records, found.count, found.least, found.greatest) == (
            len(inside),
            len(numbers),
            min(numbers),
            max(numbers),
        )
        assert math.isclose(found.total, sum(numbers), abs_tol=1e-6)
    assert len(windows) == len({(path, record.received // MINUTE_US) for record in values for path in record.numbers})


@given(RECORDS, st.sets(st.sampled_from(["ann", "bob", "eve"])))
def test_what_is_withdrawn_was_never_there(records, gone):
    values = [Values(seq, received, numbers, seq, who) for seq, (received, numbers, who) in enumerate(records)]
    left = without(fold((), "e", values, lambda _: MINUTE_US).windows, lambda entity, _: entity not in gone)
    others = [one for one in values if one.entity not in gone]
    never = fold((), "e", others, lambda _: MINUTE_US).windows
    assert {(one.path, one.start): one.parts for one in left} == {(one.path, one.start): one.parts for one in never}


def test_who_could_not_be_taken_back_is_left_out():
    values = [Values(seq, 5, {"v": [seq], "w": [1, 2]}, seq, who) for seq, who in enumerate("abaca", 1)]
    folded = fold((), "e", values, lambda _: MINUTE_US, room=3)
    assert {one.path: list(one.parts) for one in folded.windows} == {"v": ["a", "b"], "w": ["a"]}
    assert folded.left_out == 2 + 3
    assert fold(folded.windows, "e", values, lambda _: MINUTE_US, room=3).left_out == 2 + 3


@pytest.mark.parametrize(
    ("until", "over"),
    [
        (0, 2),
        (MINUTE_US - GRACE - 1, 2),
        (MINUTE_US - GRACE, 1),
        (MINUTE_US + GRACE - 1, 1),
        (MINUTE_US + GRACE, 2),
        (1 << 60, 3),
    ],
)
def test_close(until, over):
    """One that a clock ahead of `until` has opened waits for nobody."""
    windows = (window(start=2 * MINUTE_US), window(), window("w", start=5 * MINUTE_US))
    closed, left = close(windows, until)
    assert len(closed) == over
    assert sorted((*closed, *left), key=windows.index) == list(windows)
    assert [one.start for one in closed] == sorted(one.start for one in closed)


def test_of_short_windows_so_many_are_open():
    windows = tuple(Window("v", n, 1, "e/1", {"": Part(1, sums())}) for n in range(MAX_OPEN + 2))
    closed, left = close(windows, MAX_OPEN)
    assert [one.start for one in closed] == [0, 1]
    assert len(left) == MAX_OPEN


def test_a_clock_that_was_ahead_takes_no_room_from_what_comes():
    year = 365 * 1440 * MINUTE_US
    values = [Values(seq, year, {"v": [1]}, seq, who) for seq, who in enumerate("abc", 1)]
    _, left = close(fold((), "e", values, lambda _: MINUTE_US, room=3).windows, 5)
    folded = fold(left, "e", [Values(4, 5, {"v": [1]}, 4, "d")], lambda _: MINUTE_US, room=3)
    assert folded.left_out == 0


def test_a_window_that_is_opened_again_is_another():
    width, aggregate = (lambda _: MINUTE_US), Aggregate(window=timedelta(minutes=1), min_count=1, statistics=ALL)
    first, again, other = (
        fold((), epoch, [Values(seq, 5, {"v": [1]})], width).windows[0] for epoch, seq in (("e", 1), ("e", 2), ("f", 1))
    )
    assert len({Told(LOG, one, aggregate).id for one in (first, again, other, first)}) == 3


# --- over real logs


class Node(DerivingNode):
    stream = AGGREGATES

    def __init__(self, root, minimum=3, consent=Consent.NOT_NEEDED):
        aggregate = Aggregate(window=timedelta(minutes=1), min_count=minimum, statistics=ALL)
        rule = Rule(path="v", action="Aggregate", aggregate=aggregate)
        rules = (
            Rule(path="w.*", action="Coarsen", coarsen={"step": 10}),
            rule,
            rule.model_copy(update={"path": "w.*"}),
        )
        super().__init__(
            root,
            DEFAULT_POLICY.model_copy(
                update={
                    "streams": (*DEFAULT_POLICY.streams, stream(data_class="personal"), stream("plain")),
                    "data_classes": (data_class(*rules, consent=consent),),
                }
            ),
        )

    def deriving(self, roots):
        return DerivingLoop(
            Aggregates(self.outbound.rules, lambda: self.outbound.consents(self.now), self.registry),
            self.root / "aggregates.json",
            roots,
            self.outbound,
            self.log,
            lambda: self.now,
        )


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.pass_time()
    yield node
    node.close()


def test_a_window_is_told_when_it_is_over(node):
    node.append({"v": 1}, {"v": 2.5, "w": [17, 28]}, {"v": 4, "w": [3]}, {"v": "n/a"}, {"w": [99]})
    node.pass_time(seconds=59)
    assert node.told == []
    node.pass_time(seconds=6)
    assert node.told == [
        {
            "stream": "readings",
            "path": "v",
            "start": "2026-12-01T00:00:00.000000Z",
            "seconds": 60.0,
            "count": 3,
            "sum": 7.5,
            "mean": 2.5,
            "min": 1,
            "max": 4,
        },
        {
            "stream": "readings",
            "path": "w.*",
            "start": "2026-12-01T00:00:00.000000Z",
            "seconds": 60.0,
            "count": 4,
            "sum": 120,
            "mean": 30.0,
            "min": 0,
            "max": 90,
        },
    ]


def test_too_few_records_tell_nothing_however_many_values_they_have(node):
    node.append({"v": 1, "w": [1, 2, 3, 4]}, {"v": 2})
    node.pass_time(minutes=2)
    assert node.told == []
    withheld = {"stream": "readings", "outcome": "Withheld"}
    assert node.registry.get_sample_value("skerry_sync_aggregates_total", withheld) == 2


def test_only_streams_with_such_rules_are_followed(node):
    node.append({"v": 1}, {"v": 1}, {"v": 1}, name="plain")
    node.pass_time(minutes=2)
    assert node.told == []
    assert set(node.loop.held()) == {"readings"}


def test_who_does_not_consent_is_not_counted(tmp_path):
    node = Node(tmp_path, consent=Consent.REQUIRED)
    node.pass_time()
    node.append(granted("ann", "personal"), name="consent")
    node.append(*[{"v": 1}] * 3, subject="ann")
    node.append(*[{"v": 100}] * 3, subject="bob")
    node.pass_time(minutes=2)
    assert [(one["count"], one["max"]) for one in node.told] == [(3, 1)]
    node.close()


@pytest.fixture
def careful(tmp_path):
    """A node whose stream needs consent; Ann and Bob give it."""
    node = Node(tmp_path, consent=Consent.REQUIRED)
    node.pass_time()
    node.append(granted("ann", "personal"), granted("bob", "personal"), name="consent")
    yield node
    node.close()


def test_who_withdraws_is_taken_out_of_open_windows(careful):
    careful.append(*[{"v": 1}] * 3, subject="ann")
    careful.append(*[{"v": 100}] * 3, subject="bob")
    careful.pass_time(seconds=NOTE_EVERY.seconds)
    careful.append(withdrawn("bob", "personal"), name="consent")
    careful.start()
    careful.append({"v": 2}, subject="ann")
    careful.pass_time(minutes=2)
    assert [(one["count"], one["sum"], one["max"]) for one in careful.told] == [(4, 5, 2)]


def test_a_new_grant_brings_nothing_back(careful):
    careful.append(*[{"v": 100}] * 3, subject="bob")
    careful.pass_time(seconds=1)
    careful.append(withdrawn("bob", "personal"), granted("bob", "personal"), name="consent")
    careful.append(*[{"v": 7}] * 3, subject="bob")
    careful.pass_time(minutes=2)
    assert [(one["count"], one["max"]) for one in careful.told] == [(3, 7)]


def test_too_few_are_left_after_a_withdrawal(careful):
    careful.append(*[{"v": 1}] * 2, subject="ann")
    careful.append({"v": 1}, subject="bob")
    careful.pass_time(seconds=1)
    careful.append(withdrawn("bob", "personal"), name="consent")
    careful.pass_time(minutes=2)
    assert careful.told == []


def test_consent_that_cannot_be_read_keeps_windows_closed(careful, monkeypatch):
    careful.append(*[{"v": 1}] * 3, subject="ann")
    careful.pass_time(seconds=1)

    def unreadable(_now):
        raise RetryError("ConsentUnreadable", "a bad disk")

    with monkeypatch.context() as patch:
        patch.setattr(careful.outbound, "consents", unreadable)
        careful.now += timedelta(minutes=2)
        with pytest.raises(RetryError, match="bad disk"):
            careful.loop.step()
    assert careful.told == []
    careful.pass_time()
    assert [one["count"] for one in careful.told] == [3]


def test_what_was_left_out_is_counted(careful, monkeypatch):
    monkeypatch.setattr(derivation, "fold", partial(fold, room=1))
    careful.append({"v": 1}, subject="ann")
    careful.append({"v": 1}, subject="bob")
    careful.pass_time(seconds=1)
    assert careful.registry.get_sample_value("skerry_sync_aggregates_left_out_total", {"stream": "readings"}) == 1


def test_each_window_is_told_once_whatever_dies(node):
    for minute in range(4):
        node.append(*[{"v": minute}] * 3)
        node.pass_time(seconds=1)
        node.start()  # nothing was noted since the start
        node.pass_time(seconds=66)
        node.start()
        node.pass_time(seconds=20)
    assert [(one["count"], one["mean"]) for one in node.told] == [(3, minute) for minute in range(4)]


def test_a_window_outlives_a_restart(node):
    node.append({"v": 1}, {"v": 2})
    node.pass_time(seconds=NOTE_EVERY.seconds)
    node.start()
    node.append({"v": 3})
    node.pass_time(minutes=2)
    assert [(one["count"], one["sum"]) for one in node.told] == [(3, 6)]


def test_a_rule_that_is_gone_tells_nothing(node):
    node.append({"v": 1}, {"v": 2}, {"v": 3})
    node.pass_time(seconds=1)
    node.document = node.document.model_copy(
        update={"data_classes": (DataClassPolicy(name="personal", consent=Consent.NOT_NEEDED),)}
    )
    node.loop.adopt(node.document)
    node.pass_time(minutes=2)
    assert node.told == []
