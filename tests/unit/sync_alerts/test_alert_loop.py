"""Alerts over real logs: followed by position, made once each, whatever dies in between."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import Consent
from skerry_core.errors import RetryError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import AlertPolicy, DataClassPolicy
from skerry_edge.events.follow import Place
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import LogFullError, StreamSettings
from skerry_edge.sync.alerts.derivation import Alerts
from skerry_edge.sync.alerts.evaluate import BURST
from skerry_edge.sync.outbound.deriving import NOTE_EVERY, PERIOD, DerivingLoop
from skerry_edge.sync.outbound.outbound import Outbound
from tests.unit.sync_outbound.test_consent import granted

NOW = datetime(2026, 12, 1, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000
HOT = AlertPolicy(name="hot", stream="line-*", when="event.data.v > 5", message="too hot")


class Log:
    """A stream's log that dies: after an append, or before it."""

    def __init__(self, log):
        self._log = log
        self.fails: Exception | None = None
        self.dies_after = False

    def __getattr__(self, name):
        return getattr(self._log, name)

    def append(self, records):
        if self.fails:
            raise self.fails
        numbers = self._log.append(records)
        if self.dies_after:
            raise SystemExit
        return numbers


class Node:
    def __init__(self, root):
        self.root = root
        self.now = NOW
        self.ms = NOW_US // 1000
        self.ours = EventLogs(root / "inference", Owner("site", "node", "boot"), wall=lambda: self.ms * 1_000_000)
        self.syncs = EventLogs(root / "sync", Owner("site", "node", "boot"))
        self.alerts_log = Log(self.syncs.open(StreamSettings("alerts", 0, timedelta(days=30), 1 << 30)))
        self.document = DEFAULT_POLICY
        self.streams("line-1", "line-2", "other")
        self.start(HOT)

    def streams(self, *names, data_class=None):
        base = DEFAULT_POLICY.streams[0]
        streams = [base.model_copy(update={"name": name, "data_class": data_class}) for name in names]
        kept = [stream for stream in self.document.streams if stream.name not in names]
        self.document = self.document.model_copy(update={"streams": (*kept, *streams)})

    def start(self, *alerts):
        self.registry = CollectorRegistry()
        self.alerts = Alerts(self.registry)
        self.outbound = Outbound(
            self.root, self.root / "site-salt", self.root / "inference" / "consent", self.registry, lambda: 10**9
        )
        roots = (self.root / "inference", self.root / "sync")
        self.loop = DerivingLoop(
            self.alerts, self.root / "alerts.json", roots, self.outbound, self.alerts_log, lambda: self.now
        )
        self.adopt(*alerts)

    def adopt(self, *alerts):
        self.document = self.document.model_copy(update={"alerts": alerts or self.document.alerts})
        self.outbound.adopt(self.document)
        self.loop.adopt(self.document)

    def append(self, stream, *values, subject=None):
        log = self.ours.open(StreamSettings(stream, 2, timedelta(days=30), 1 << 30))
        records = []
        for value in values:
            body = (
                value if isinstance(value, bytes) else json.dumps({"subject": subject, "data": {"v": value}}).encode()
            )
            records.append(NewRecord(body, NOW_US, NOW_US))
        return log.append(records)

    def drain(self):
        while self.loop.step() < PERIOD:
            pass

    @property
    def made(self):
        """(stream, seq) of the alerts in their log."""
        batches = LogReader(self.root / "sync" / "alerts").read(1, 10_000)
        data = [json.loads(record.body)["data"] for batch in batches for record in batch.records()]
        return [(one["stream"], one["seq"]) for one in data]

    def count(self, outcome, alert="hot"):
        return self.registry.get_sample_value("skerry_sync_alerts_total", {"alert": alert, "outcome": outcome})

    def close(self):
        self.ours.close()
        self.syncs.close()


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    node.drain()
    yield node
    node.close()


def test_follows_the_streams_that_an_alert_is_about(node):
    node.append("line-1", 7, 1, 8)
    node.append("line-2", 9)
    node.append("other", 9)
    node.drain()
    assert sorted(node.made) == [("line-1", 1), ("line-1", 3), ("line-2", 1)]
    node.append("line-1", 9)
    node.drain()
    assert node.made[-1] == ("line-1", 4)
    assert node.count("Made") == 4


def test_more_records_than_a_step_takes(node):
    node.append("line-1", *[0] * 700, 9)
    assert node.loop.step() == timedelta()
    node.drain()
    assert node.made == [("line-1", 701)]


def test_a_condition_that_fails_is_counted_and_harms_nothing(node):
    node.append("line-1", "x", b"?", 9)
    node.drain()
    assert node.made == [("line-1", 3)]
    assert node.count("Undecided") == 2


def test_a_bad_alert_is_told_and_harms_no_other(node):
    node.adopt(HOT, AlertPolicy(name="bad", stream="*", when="event.", message="?"))
    node.append("line-1", 9)
    node.drain()
    assert node.made == [("line-1", 1)]
    assert [error.reason for error in node.alerts.refusals.values()] == ["AlertInvalid"]
    node.adopt(HOT)
    node.drain()
    assert not node.alerts.refusals


def test_alerts_are_never_about_alerts(node):
    node.adopt(AlertPolicy(name="any", stream="*", when="true", message="?"))
    node.append("line-1", 1)
    for _ in range(5):
        node.drain()
    assert node.made == [("line-1", 1)]


def test_a_new_alert_is_about_what_comes(node):
    node.append("other", 9)
    node.adopt(HOT, AlertPolicy(name="more", stream="other", when="event.data.v > 5", message="?"))
    node.drain()
    assert node.made == []
    node.append("other", 9)
    node.drain()
    assert node.made == [("other", 2)]


def test_what_was_noted_is_not_read_again_and_what_was_not_is_made_once(node):
    node.append("line-1", 9)
    node.drain()
    assert node.loop.held()["line-1"].seq == 0
    node.now += NOTE_EVERY
    node.append("line-1", 9)
    node.drain()
    assert node.loop.held()["line-1"] == Place(node.ours.open(node.ours._logs["line-1"].settings).epoch, 2)
    node.append("line-1", 9)
    node.drain()
    node.start()
    node.drain()
    assert node.made == [("line-1", 1), ("line-1", 2), ("line-1", 3)]
    node.append("line-1", 9)
    node.drain()
    assert node.made[-1] == ("line-1", 4)


@pytest.mark.parametrize("left", [b"", b"{}", b'{"places":{"line-1":5}}'])
def test_a_damaged_note_costs_no_alert_and_doubles_none(node, left):
    node.append("line-1", 9, 1, 9)
    node.drain()
    (node.root / "alerts.json").write_bytes(left)
    node.append("line-1", 9)
    node.start()
    node.drain()
    assert node.made == [("line-1", 1), ("line-1", 3), ("line-1", 4)]


def test_a_start_that_dies_before_it_has_caught_up_doubles_none(node):
    node.append("line-1", 9, *[0] * 300, 9)
    node.drain()
    (node.root / "alerts.json").write_bytes(b"")
    for _ in range(3):
        node.start()
        node.loop.step()
    node.now += NOTE_EVERY
    node.drain()
    node.start()
    node.drain()
    assert node.made == [("line-1", 1), ("line-1", 302)]


def test_a_full_log_delays_alerts(node):
    node.append("line-1", 9)
    node.alerts_log.fails = LogFullError("full")
    with pytest.raises(LogFullError):
        node.drain()
    node.alerts_log.fails = None
    node.drain()
    assert node.made == [("line-1", 1)]
    assert node.count("Made") == 1


def test_a_rate_is_bounded_and_the_rest_counted(node):
    node.append("line-1", *[9] * (BURST + 5))
    node.drain()
    assert len(node.made) == BURST
    assert node.count("Suppressed") == 5


def test_a_log_that_began_anew_is_followed_from_its_beginning(node):
    node.append("line-1", 9)
    node.drain()
    node.ours.close()
    identity = node.root / "inference" / "line-1" / "log.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"node": "another"}))
    node.ours = EventLogs(node.root / "inference", Owner("site", "node", "boot"))
    node.append("line-1", 9)
    node.drain()
    assert node.made == [("line-1", 1), ("line-1", 1)]


def test_no_consent_no_alert(node):
    personal = DataClassPolicy(name="personal", consent=Consent.REQUIRED)
    node.document = node.document.model_copy(update={"data_classes": (personal,)})
    node.streams("line-1", data_class="personal")
    node.adopt(HOT)
    node.append("consent", granted("ann", "personal"))
    node.append("line-1", 9, subject="ann")
    node.append("line-1", 9, subject="bob")
    node.drain()
    assert node.made == [("line-1", 1)]


def test_a_stream_that_cannot_be_judged_keeps_no_other_waiting(node):
    node.streams("line-1", data_class="personal")
    node.append("line-1", 9)
    node.append("line-2", 9)
    node.loop.adopt(node.document)
    with pytest.raises(RetryError):
        node.drain()
    assert node.made == [("line-2", 1)]


def test_a_stream_that_cannot_be_judged_lets_the_others_catch_up_first(node):
    """After an error a step is put off: what the others have by then is read before."""
    node.streams("line-1", data_class="personal")
    node.append("line-1", 9)
    node.append("line-2", *[0] * 700, 9)
    node.loop.adopt(node.document)
    with pytest.raises(RetryError):
        node.drain()
    assert node.made == [("line-2", 701)]


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["append", "step", "die", "note", "restart", "damage"]), max_size=10))
def test_every_match_makes_one_alert_whatever_dies(tmp_path_factory, steps):
    node = Node(tmp_path_factory.mktemp("node"))
    node.drain()
    expected = []
    for step in (*steps, "step"):
        node.alerts_log.dies_after = step == "die"
        if step == "append":
            expected += [("line-1", seq) for seq in node.append("line-1", 9, 0)][:1]
            node.ms += 60_000
        elif step == "note":
            node.now += NOTE_EVERY
        elif step == "restart":
            node.start()
            node.loop.step()
            node.start()
        elif step == "damage":
            (node.root / "alerts.json").write_bytes(b"")
            node.start()
        try:
            node.drain()
        except SystemExit:
            node.start()
    assert node.made == expected
    node.close()
