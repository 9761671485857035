"""The loop over a real log: what it tells is in the log once, whatever happens to the process."""

import json
from collections import Counter
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.batch.flags import Flags
from skerry_core.errors import RetryError
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.events.settings import LogFullError, StreamSettings
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.telemetry.bodies import OVERRUN_ENDED, OVERRUN_STARTED, SUMMARY
from skerry_edge.telemetry.loop import TelemetryLoop
from skerry_edge.telemetry.measures import Measures
from skerry_edge.telemetry.recorder import Recorder
from tests.unit.telemetry.snapshots import MIB, START, stream

SETTINGS = StreamSettings("telemetry", 0, timedelta(days=30), 64 * MIB)
ACCEPTED = ("accepted", "plant")


class Killed(BaseException):
    """The process dies here."""


class Faulty:
    """A real log that can refuse, and before or behind whose append the process can die."""

    def __init__(self, log):
        self.log = log
        self.fault = ""

    def __getattr__(self, name):
        return getattr(self.log, name)

    def append(self, records):
        if self.fault == "full":
            raise LogFullError("the disk is full")
        if self.fault == "die before":
            raise Killed
        seqs = self.log.append(records)
        if self.fault == "die behind":
            raise Killed
        return seqs


class Node:
    """Sync, and an inference process beside it."""

    def __init__(self, root, boot="boot-1"):
        self.root = root
        self.up = 100_000
        self.wall = START
        self.boot = boot
        self.run = 0
        self.count = 0
        self.levels = {}
        self.answers = True
        self.start()

    def start(self):
        logs = EventLogs(self.root / "log", Owner("site-a", "node-1", self.boot), segment_bytes=4096)
        self.log = Faulty(logs.open(SETTINGS))
        recorder = Recorder(self.root / "telemetry.json", self.log)
        time = NodeTime(lambda: self.wall, floor=START)
        self.loop = TelemetryLoop(recorder, {"inference": self.inference}, time, lambda: self.up, self.boot)

    def inference(self):
        if not self.answers:
            raise RetryError("InferenceUnreachable", "it is down")
        return Measures(f"run-{self.run}", {ACCEPTED: float(self.count)}, self.levels)

    def reboot(self):
        self.boot += "+"
        self.up = 1000
        self.run += 1
        self.count = 0
        self.start()

    def pass_time(self, seconds):
        self.up += int(seconds * 1000)
        self.wall += int(seconds * 1e6)

    def step(self, seconds=10.0):
        self.pass_time(seconds)
        self.loop.step()

    @property
    def records(self):
        found = [
            record
            for directory in sorted((self.root / "log").iterdir())
            for batch in LogReader(directory).read(1, 100_000, 1 << 30)
            for record in batch.records()
        ]
        return [(record, json.loads(record.body)) for record in found]

    @property
    def events(self):
        return [event for _, event in self.records]

    @property
    def summaries(self):
        return [event["data"] for event in self.events if event["type"] == SUMMARY]


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_a_summary_a_minute_each_with_its_own_window(node):
    for _ in range(19):
        node.count += 3
        node.step()
    assert [each["counts"]["accepted"] for each in node.summaries] == [18, 18, 18]
    windows = [each["window"] for each in node.summaries]
    assert [each["number"] for each in windows] == [1, 2, 3]
    assert [each["seconds"] for each in windows] == [60, 60, 60]
    assert [each["start"] for each in windows[1:]] == [each["end"] for each in windows[:-1]]
    record, event = node.records[0]
    assert {name: event[name] for name in ("specversion", "type", "source")} == {
        "specversion": "1.0",
        "type": "dev.skerry.telemetry.v1",
        "source": "/skerry/node",
    }
    assert event["time"] == windows[0]["end"]
    assert record.time == START + 60_000_000
    assert len(record.body) < 2300
    assert "subject" not in event


def test_an_overrun_is_told_at_once_with_a_summary_up_to_it(node):
    node.step()
    node.levels = stream(99 * MIB)
    node.step()
    assert [each["type"] for each in node.events] == [SUMMARY, OVERRUN_STARTED]
    node.levels = stream(10 * MIB)
    for _ in range(4):
        node.step()
    assert [each["type"] for each in node.events] == [SUMMARY, OVERRUN_STARTED, SUMMARY, OVERRUN_ENDED]
    began, ended = (each["data"] for each in node.events if each["type"] != SUMMARY)
    assert began == {
        "overrun": f"StreamFull/plant/{START + 20_000_000}",
        "limit": "StreamFull",
        "stream": "plant",
        "start": "2026-11-18T11:07:00.000Z",
        "level": 99 * MIB,
        "bound": 100 * MIB,
        "cause": "IntakeOutrunsUpload",
        "takers": [["plant", 99 * MIB]],
    }
    assert ended == began | {
        "end": "2026-11-18T11:07:40.000Z",
        "seconds": 40.0,
        "endLevel": 10 * MIB,
        "worst": 99 * MIB,
        "shed": {"dropped": 0, "refused": 0, "expired": 0},
        "freedBytes": 0,
        "uploadedRecords": 0,
        "remedy": "IntakeFell",
    }


def test_an_overrun_outlives_the_process(node):
    node.levels = stream(99 * MIB)
    node.step()
    node.start()
    node.levels = stream(10 * MIB)
    for _ in range(5):
        node.step()
    assert [each["type"] for each in node.events if each["type"] != SUMMARY] == [OVERRUN_STARTED, OVERRUN_ENDED]


def test_what_the_log_refuses_is_told_later_and_once(node):
    node.count = 5
    node.step(70)
    node.log.fault = "full"
    node.levels = stream(99 * MIB)
    with pytest.raises(LogFullError):
        node.step()
    node.levels = stream(10 * MIB)
    for _ in range(5):
        node.count += 1
        with pytest.raises(LogFullError):
            node.step()
    node.log.fault = ""
    node.count += 1
    node.step()
    assert [each["type"] for each in node.events] == [SUMMARY, SUMMARY, OVERRUN_STARTED, SUMMARY, OVERRUN_ENDED]
    assert sum(each["counts"].get("accepted", 0) for each in node.summaries) == 11


def test_the_last_moments_are_told_when_the_process_ends(node):
    node.count = 5
    node.pass_time(3)
    node.loop.close()
    assert [each["counts"] for each in node.summaries] == [{"accepted": 5}]
    node.log.fault = "full"
    node.count = 6
    node.loop.close()
    node.start()
    node.loop.close()
    assert sum(each["counts"].get("accepted", 0) for each in node.summaries) == 6


def test_a_process_that_does_not_answer_is_told_as_such(node):
    node.count = 5
    node.step(70)
    node.answers = False
    node.step(70)
    node.answers = True
    node.count = 9
    node.step(70)
    assert [each["inference"]["up"] for each in node.summaries] == [True, False, True]
    assert [each["counts"].get("accepted", 0) for each in node.summaries] == [5, 0, 4]


def test_uploaded_and_removed_telemetry_was_told(node):
    """Sync removes segments that it has uploaded: that a record isn't there any more doesn't mean it never was."""
    node.count = 5
    node.log.fault = "die behind"
    with pytest.raises(Killed):
        node.step(70)
    node.log.log.roll()
    first = segment_firsts(node.root / "log" / "telemetry")[0]
    segment_path(node.root / "log" / "telemetry", first).unlink()
    node.start()
    node.count = 7
    node.step(70)
    assert [each["counts"]["accepted"] for each in node.summaries] == [2]


def test_a_note_that_is_damaged_tells_nothing_twice(node):
    node.count = 5
    node.step(70)
    (node.root / "telemetry.json").write_bytes(b'{"number":')
    node.start()
    node.count = 8
    node.step()
    node.count = 9
    node.step(70)
    assert [each["counts"].get("accepted", 0) for each in node.summaries] == [5, 1]


def test_a_log_that_was_set_aside_has_what_it_had(node):
    node.count = 5
    node.log.fault = "die behind"
    with pytest.raises(Killed):
        node.step(70)
    folder = node.root / "log" / "telemetry"
    folder.rename(folder.with_name(f"telemetry@{node.log.epoch}"))
    node.start()
    node.count = 7
    node.step(70)
    assert sorted(each["counts"]["accepted"] for each in node.summaries) == [2, 5]


def test_a_clock_that_is_behind_marks_its_records(node):
    node.wall -= 10**15
    node.step(70)
    ((record, event),) = node.records
    assert record.flags == Flags.CLOCK_SUSPECT
    assert event["data"]["window"]["start"] == event["data"]["window"]["end"]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), st.integers(1, 9)),
        st.tuples(
            st.just("look"), st.sampled_from([10, 70]), st.sampled_from(["", "", "full", "die before", "die behind"])
        ),
        st.sampled_from([("sync",), ("close",), ("inference",), ("reboot",), ("silent",), ("full",), ("calm",)]),
    ),
    max_size=30,
)


class Story:
    """What happens to a node, and what of its counts has been noted as told of each run of inference."""

    def __init__(self, root):
        self.node = Node(root)
        self.noted = Counter()

    def take(self, what, *details):
        node = self.node
        match what:
            case "count":
                node.count += details[0]
            case "look":
                self.look(*details)
            case "inference":
                node.run, node.count = node.run + 1, 0
            case "reboot":
                node.reboot()
            case "sync":
                node.start()
            case "close":
                self.noting(node.loop.close)
                node.start()
            case "silent":
                node.answers = not node.answers
            case "full" | "calm":
                node.answers = True
                node.levels = stream((99 if what == "full" else 1) * MIB)

    def look(self, seconds, fault):
        node = self.node
        node.log.fault = fault
        try:
            self.noting(lambda: node.step(seconds))
        except LogFullError:
            pass
        except Killed:
            node.start()
        node.log.fault = ""

    def noting(self, act):
        before = self.note
        try:
            act()
        finally:
            if self.node.answers and self.note != before:
                self.noted[self.node.run] = self.node.count

    @property
    def note(self):
        path = self.node.root / "telemetry.json"
        return path.read_bytes() if path.exists() else None


@settings(deadline=None, max_examples=30)
@given(STEPS)
def test_sums_are_what_was_seen_and_windows_do_not_overlap(tmp_path_factory, steps):
    story = Story(tmp_path_factory.mktemp("node"))
    for step in [*steps, ("calm",), ("look", 70, ""), ("look", 70, "")]:
        story.take(*step)
    node = story.node
    assert sum(each["counts"].get("accepted", 0) for each in node.summaries) == sum(story.noted.values())
    windows = [each["window"] for each in node.summaries]
    assert [each["number"] for each in windows] == list(range(1, len(windows) + 1))
    for before, after in pairwise(windows):
        assert before["start"] <= before["end"] == after["start"]
    overruns = [each["data"]["overrun"] for each in node.events if each["type"] == OVERRUN_STARTED]
    ended = [each["data"]["overrun"] for each in node.events if each["type"] == OVERRUN_ENDED]
    assert len(set(overruns)) == len(overruns)
    assert overruns[: len(ended)] == ended
