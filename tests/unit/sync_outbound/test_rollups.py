"""Rollups on a node: windows, consent, and each record in exactly one window that is told once, whatever dies."""

import base64
import json
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from functools import reduce

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS, ROLLUPS, Consent
from skerry_core.batch.flags import Flags
from skerry_core.errors import RetryError
from skerry_core.rollups.state import decode, encode, merge
from skerry_core.sync_policy.document import Rule
from skerry_edge.events.settings import LogFailedError, StreamSettings
from skerry_edge.sync.outbound.rollups import loop as loop_module
from skerry_edge.sync.outbound.rollups.loop import NOTE_EVERY
from skerry_edge.sync.outbound.rollups.taking import Taking
from tests.unit.sync_outbound.columns import data_class
from tests.unit.sync_outbound.nodes import NOW, micros
from tests.unit.sync_outbound.rollup_node import MINUTE, Node, failing, state


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.pass_time()
    yield node
    node.close()


def counts(node):
    return [(one["path"], one["start"], one["count"]) for one in node.told]


def test_a_window_is_told_when_it_is_over(node):
    node.append({"v": 1, "state": "idle"}, {"v": 2.5, "axes": [1, 2]}, {"v": 4, "state": "busy", "axes": [3, 4]})
    node.pass_time(seconds=59)
    assert node.told == []
    node.pass_time(seconds=6)
    told = {one["path"]: one for one in node.told}
    states = {path: decode(base64.b64decode(one.pop("state"))) for path, one in told.items()}
    window = {"stream": "readings", "start": "2026-12-01T00:00:00.000000Z", "seconds": 60.0}
    assert told["state"] == window | {"path": "state", "kind": "Text", "count": 2, "distinct": 2}
    assert told["axes"] == window | {"path": "axes", "kind": "Vector", "length": 2, "count": 2}
    std = told["v"].pop("std")
    assert std == pytest.approx(1.2247448713915890)
    assert told["v"] == window | {
        "path": "v",
        "kind": "Number",
        "count": 3,
        "sum": 7.5,
        "mean": 2.5,
        "min": 1.0,
        "max": 4.0,
        "p50": pytest.approx(2.5, rel=0.01),
        "p95": pytest.approx(2.5, rel=0.01),
        "p99": pytest.approx(2.5, rel=0.01),
        "distinct": 3,
    }
    assert encode(states["v"]) == encode(state(1, 2.5, 4, times=[micros(NOW)] * 3))
    assert [(record.time, record.received) for record in node.records] == [
        (micros(NOW) + MINUTE, micros(NOW) + 65_000_000)
    ] * 3


def test_predictions_are_told_by_release_variant_and_outcome(node):
    body = {"namespace": "team", "model": "har", "version": "1.0.0", "digest": "sha256:a", "latency": 0.5}
    good = body | {"variant": "champion", "decided": [1, 2]}
    bad = body | {"variant": "fallback", "pair": {"error": "NaN"}}
    node.append(*(json.dumps(each).encode() for each in (good, bad, good)), name=PREDICTIONS)
    node.pass_time(minutes=2)
    assert {(one["variant"], one["outcome"], one["path"], one["count"]) for one in node.told} == {
        ("champion", "Answered", "latency", 2),
        ("champion", "Answered", "decided", 4),
        ("fallback", "Guardrail", "latency", 1),
    }
    assert {(one["namespace"], one["model"], one["version"], one["digest"]) for one in node.told} == {
        ("team", "har", "1.0.0", "sha256:a")
    }


def test_only_streams_with_a_rollup_window_are_followed(node):
    node.append({"v": 1}, name="plain")
    node.pass_time(minutes=2)
    assert node.told == []
    assert set(node.loop.held()) == {"readings", PREDICTIONS, ROLLUPS}


def test_what_comes_late_is_told_with_its_own_time_in_one_window_a_stretch(node):
    node.append({"v": 1})
    node.pass_time(minutes=10)
    for _ in range(3):
        node.append({"v": 2}, ago=timedelta(minutes=10))
        node.append({"v": 3}, ago=timedelta(minutes=9))
        node.pass_time(seconds=10)
    node.pass_time(minutes=2)
    assert counts(node) == [
        ("v", "2026-12-01T00:00:00.000000Z", 1),
        ("v", "2026-12-01T00:00:00.000000Z", 3),
        ("v", "2026-12-01T00:01:00.000000Z", 3),
    ]


def test_a_time_that_cannot_be_right_is_that_of_arrival(node):
    node.append({"v": 1}, ago=timedelta(days=20_000), flags=Flags.TIME_SKEWED)
    node.append({"v": 2}, ago=timedelta(minutes=-4))
    node.pass_time(minutes=2)
    assert counts(node) == [("v", "2026-12-01T00:00:00.000000Z", 2)]


def test_fields_are_as_the_rules_leave_them(tmp_path):
    rules = [
        Rule(path="badge", action="Drop"),
        Rule(path="x", action="Coarsen", coarsen={"step": 10}),
        Rule(path="pulse", action="Aggregate", aggregate={"window": "1h", "minCount": 1, "statistics": ["Mean"]}),
    ]
    node = Node(tmp_path, Consent.NOT_NEEDED, *rules)
    node.pass_time()
    node.append({"badge": 17, "x": 19, "pulse": 60})
    node.pass_time(minutes=2)
    assert [(one["path"], one["max"]) for one in node.told] == [("x", 10)]
    node.close()


def test_a_clock_that_was_ahead_keeps_no_window_open(node):
    node.now += timedelta(days=400)
    node.append({"v": 1})
    node.pass_time()
    node.now = NOW
    node.append({"v": 2})
    node.pass_time(seconds=1)
    node.pass_time(minutes=2)
    assert [one["count"] for one in node.told] == [1, 1]


# --- crashes, and rooms that are too small


def merged(node):
    found = {}
    for one in node.told:
        key, told = (one["path"], one["start"]), decode(base64.b64decode(one["state"]))
        found[key] = merge(found[key], told) if key in found else told
    return {key: encode(each) for key, each in found.items()}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(-5, 5), st.integers(0, 200)),
        st.tuples(st.just("pass"), st.sampled_from([1, 20, 70]), st.just(0)),
        st.tuples(st.just("die"), st.just(0), st.just(0)),
        st.tuples(st.just("die in append"), st.integers(0, 2), st.just(70)),
    ),
    max_size=25,
)


class DiedError(Exception):
    """No error of the log, after which the loop would go on: nothing of what failed so is in it."""


def die():
    raise DiedError


@pytest.mark.slow
@given(STEPS)
@example([("append", 0, 0), ("die in append", 0, 70), ("append", 0, 0), ("die in append", 1, 70)])
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow])
def test_each_record_is_told_once_whatever_dies(tmp_path_factory, steps):
    node = Node(tmp_path_factory.mktemp("node"))
    node.pass_time()
    expected = defaultdict(list)
    for step, one, other in steps:
        if step == "append":
            node.append({"v": one, "w": one}, ago=timedelta(seconds=other))
            at = micros(node.now) - other * 1_000_000
            expected[at // MINUTE].append((one, at))
        elif step == "pass":
            node.pass_time(seconds=one)
        elif step == "die":
            node.start()
        else:
            append = node.log.append
            # The process dies once so many of the windows are there.
            node.log.append = lambda records, append=append, count=one: (append(records[:count]), die())
            try:
                node.pass_time(seconds=other)
            except DiedError:
                node.start()
            finally:
                node.log.append = append
    node.pass_time(minutes=10)
    node.pass_time()
    assert merged(node) == {
        (path, datetime.fromtimestamp(pane * 60, UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")): encode(
            state(*(number for number, _ in seen), times=[at for _, at in seen])
        )
        for pane, seen in expected.items()
        for path in ("v", "w")
    }
    node.close()


def test_windows_that_take_too_much_are_told_early_and_still_merge(node, monkeypatch):
    monkeypatch.setattr(loop_module, "MAX_BYTES", 1000)
    for value in range(6):
        node.append({"v": value}, {"v": value, "w": 1}, ago=timedelta(minutes=value))
        node.pass_time(seconds=1)
    assert len(node.told) > 2
    node.pass_time(minutes=2)
    states = [decode(base64.b64decode(one["state"])) for one in node.told if one["path"] == "v"]
    times = [micros(NOW) + second * 1_000_000 - second * MINUTE for second in range(6) for _ in range(2)]
    assert encode(reduce(merge, states)) == encode(state(*(n for n in range(6) for _ in range(2)), times=times))


def test_those_of_the_largest_stream_are_told_early(node, monkeypatch):
    monkeypatch.setattr(loop_module, "MAX_BYTES", 2000)
    node.append({"v": 1})
    node.append(*(json.dumps({"model": "har", "latency": n, "rows": n}).encode() for n in range(100)), name=PREDICTIONS)
    node.pass_time(seconds=1)
    assert {one["stream"] for one in node.told} == {PREDICTIONS}


def test_windows_that_cannot_be_told_hold_the_streams_once_they_are_many(node, monkeypatch):
    monkeypatch.setattr(loop_module, "MAX_BYTES", 1)
    with monkeypatch.context() as patch:
        patch.setattr(node.log, "append", failing)
        for value in range(3):
            node.append({"v": value})
            with pytest.raises(LogFailedError):
                node.pass_time(seconds=1)
    node.pass_time(seconds=1)
    node.pass_time(seconds=1)
    assert [one["max"] for one in node.told] == [0, 2]
    assert sum(one["count"] for one in node.told) == 3


def test_a_full_log_loses_rollups_and_holds_nothing_up(node):
    node.log.settings = StreamSettings(ROLLUPS, 1, timedelta(days=30), 1)
    node.append({"v": 1})
    node.pass_time(minutes=2)
    node.append({"v": 2})
    node.pass_time(seconds=61)
    assert (node.told, node.metric("NoRoom")) == ([], 1)
    assert node.loop.held()["readings"].seq == 2
    node.log.settings = StreamSettings(ROLLUPS, 1, timedelta(days=30), 1 << 30)
    node.pass_time(minutes=2)
    assert [(one["min"], one["max"]) for one in node.told] == [(2, 2)]


def test_a_state_that_no_record_holds_is_counted(node):
    spread = [10.0 ** (n % 300) * (-1) ** n for n in range(1000)]
    node.append({"axes": spread}, {"axes": [1 / value for value in spread]}, {"v": 1})
    node.pass_time(minutes=2)
    assert [one["path"] for one in node.told] == ["v"]
    assert (node.metric("TooLarge"), node.metric("Told")) == (1, 1)


def test_what_is_left_out_is_counted(node):
    node.append({"rows": [{}], "v": 1})
    node.pass_time(seconds=1)
    assert node.registry.get_sample_value("skerry_sync_rollups_left_out_total", {"stream": "readings"}) == 1


def test_a_damaged_note_loses_open_windows_and_tells_nothing_twice(node):
    node.append({"v": 1})
    node.pass_time(minutes=2)
    node.append({"v": 2})
    node.pass_time(seconds=NOTE_EVERY.seconds)
    note = node.root / "rollups.note"
    note.write_bytes(note.read_bytes()[:-1] + b"\x00")
    node.start()
    node.pass_time()
    node.append({"v": 3})
    node.pass_time(minutes=2)
    assert [one["max"] for one in node.told] == [1, 3]


def test_a_copied_disk_tells_no_windows_of_the_other_node(node):
    node.append({"v": 1})
    node.pass_time(seconds=NOTE_EVERY.seconds)
    node.syncs.close()
    node.open("another")
    node.start()
    node.pass_time(minutes=2)
    assert node.told == []


@pytest.mark.parametrize("gone", ["window", "rules"])
def test_what_the_policy_no_longer_says_is_not_told(node, gone):
    node.append({"v": 1})
    node.pass_time(seconds=1)
    readings, *others = node.document.streams
    if gone == "window":
        changes = {"streams": (readings.model_copy(update={"rollup_window": None}), *others)}
    else:
        changes = {"data_classes": (data_class(Rule(path="v", action="Drop")),)}
    node.document = node.document.model_copy(update=changes)
    node.outbound.adopt(node.document)
    node.loop.adopt(node.document)
    node.pass_time(minutes=2)
    assert node.told == []


@pytest.mark.parametrize("forgotten", [False, True])
@pytest.mark.parametrize("dies", [False, True])
def test_what_was_told_by_other_rules_does_not_leave(node, forgotten, dies):
    """Also where the stream wasn't rolled up any more when its rules changed."""
    node.append({"v": 1}, {"w": 1})
    node.pass_time(minutes=2)
    assert [one["path"] for one in node.told] == ["v", "w"]
    readings, *others = node.document.streams

    def adopt(**changes):
        node.document = node.document.model_copy(update=changes)
        node.outbound.adopt(node.document)
        if dies:
            node.start()
        node.loop.adopt(node.document)
        node.pass_time(minutes=2)

    if forgotten:
        adopt(streams=(readings.model_copy(update={"rollup_window": None}), *others))
        assert [one["path"] for one in node.told] == ["v", "w"]
    adopt(data_classes=(data_class(Rule(path="v", action="Drop")),))
    assert node.told == []
    adopt(streams=(readings, *others))
    node.append({"v": 3}, {"w": 3})
    node.pass_time(minutes=2)
    assert [(one["path"], one["max"]) for one in node.told] == [("w", 3)]


def test_what_cannot_be_taken_back_yet_holds_nothing_up(node, monkeypatch):
    node.append({"v": 1}, {"w": 1})
    node.pass_time(minutes=2)
    place = node.loop.held()["readings"]
    node.document = node.document.model_copy(update={"data_classes": (data_class(Rule(path="v", action="Drop")),)})
    node.outbound.adopt(node.document)
    node.loop.adopt(node.document)
    with monkeypatch.context() as patch:
        patch.setattr(node.syncs, "redact", failing)
        for _ in range(2):
            node.append({"w": 2})
            with pytest.raises(LogFailedError):
                node.pass_time(seconds=NOTE_EVERY.seconds)
        assert node.loop.held()["readings"].seq == place.seq + 2
    node.start()
    node.pass_time(minutes=2)
    node.append({"w": 3})
    node.pass_time(minutes=2)
    assert [one["max"] for one in node.told if one["path"] == "w"][-1] == 3
    assert "v" not in [one["path"] for one in node.told]


def test_a_stream_that_cannot_be_judged_lets_the_others_catch_up_first(node, monkeypatch):
    """After an error a step is put off: what the others have by then is read before."""
    admitted = node.outbound.admitted

    def failing_for_one(stream, batches, now):
        if stream.name == "readings":
            raise RetryError("PolicyChanged", "no such class")
        return admitted(stream, batches, now)

    monkeypatch.setattr(node.outbound, "admitted", failing_for_one)
    node.append({"v": 1})
    node.append(*[{"v": 1}] * 700, name=PREDICTIONS)
    for _ in range(2):
        with pytest.raises(RetryError):
            node.pass_time(seconds=NOTE_EVERY.seconds)
    held = node.loop.held()
    assert (held["readings"].seq, held[PREDICTIONS].seq) == (0, 700)


def test_rules_are_remembered_where_the_log_was_set_aside(node):
    node.append({"v": 1})
    node.pass_time(minutes=2)
    node.syncs.close()
    node.open("another")
    node.start()
    node.pass_time(minutes=2)
    assert [one["path"] for one in node.told] == ["v"]
    node.document = node.document.model_copy(update={"data_classes": (data_class(Rule(path="v", action="Drop")),)})
    node.outbound.adopt(node.document)
    node.loop.adopt(node.document)
    node.pass_time(minutes=2)
    assert node.told == []


def test_a_stream_that_leaves_the_policy_for_a_while_loses_no_rollups(node):
    node.append({"v": 1})
    node.pass_time(minutes=2)
    for streams in (node.document.streams[1:], node.document.streams):
        node.loop.adopt(node.document.model_copy(update={"streams": streams}))
        node.pass_time(minutes=2)
    assert [one["path"] for one in node.told] == ["v"]


def test_what_stands_for_rules_stays_what_it_is(node):
    """Another stamp in another version of this code would take back whatever waits at every site."""
    rules = (Rule(path="v", action="Drop"), Rule(path="x", action="Coarsen", coarsen={"step": 10}))
    policy = data_class(*rules, consent=Consent.REQUIRED)
    assert Taking.by(policy, node.outbound.rules(policy)).stamp[:16] == "a6fb9d96e936bd8b"


def test_another_window_ends_the_ones_that_are_open(node):
    node.append({"v": 1})
    node.pass_time(seconds=1)
    readings, *others = node.document.streams
    longer = readings.model_copy(update={"rollup_window": timedelta(minutes=5)})
    node.document = node.document.model_copy(update={"streams": (longer, *others)})
    node.loop.adopt(node.document)
    node.append({"v": 2})
    node.pass_time(minutes=6)
    assert [(one["seconds"], one["max"]) for one in node.told] == [(60.0, 1), (300.0, 2)]
