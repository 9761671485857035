"""Withdrawn consent against real logs."""

import json

import pytest

from skerry_core.batch.flags import Flags
from skerry_edge.events.record import BLANK, NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.ingest.consent import Relayed, entity_key, read_change, site_hash
from skerry_edge.ingest.dead_letters import encode_letter
from skerry_edge.ingest.errors import Malformed, MalformedError, RefusedError
from skerry_edge.ingest.inbox import write_inbox
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.redaction import Redactor
from skerry_edge.ingest.relay import ConsentRelay
from skerry_edge.ingest.streams import Streams
from tests.unit.ingest.worlds import NOW, event, event_logs, policy, registry, stored, stream_policy

SECRET = b"of the site, for hashes of entities"[:32]


class World:
    def __init__(self, logs, root, **changes):
        self.logs = logs
        self.document = policy(
            stream_policy("vitals", data_class="health"),
            stream_policy("doors", data_class="presence"),
            stream_policy("weather"),
            classes=("health", "presence"),
        )
        self.streams = Streams(logs, NodeTime(lambda: NOW), lambda: 0.0)
        self.streams.apply(self.document)
        self.letters = logs.open(StreamSettings("dead-letter", 3, stream_policy().max_age, 1 << 30))
        self.inbox = root / "withdrawals.json"
        self.redactor = self.another(root)

    def another(self, root):
        note = root / "consent.json"
        return Redactor(self.logs, note, self.inbox, lambda: self.document, IngestMetrics(registry()))

    def put(self, stream, *events):
        self.streams.find(stream).accept(events)

    def consent(self, event_id, kind, entity, *classes):
        said = event(event_id, type=f"dev.skerry.consent.{kind}", subject=entity, data={"dataClasses": list(classes)})
        self.put("consent", said)

    def left(self, stream):
        return [json.loads(record.body)["id"] for record in stored(self.logs, stream) if record.body != BLANK]


@pytest.fixture
def world(tmp_path):
    with event_logs(tmp_path / "log") as logs:
        made = World(logs, tmp_path)
        made.put("vitals", event(1, subject="p7"), event(2, subject="p8"), event(3, source="p7"), event(4, source="/s"))
        made.put("doors", event(5, subject="p7"))
        made.put("weather", event(6, subject="p7"))
        yield made


def test_a_withdrawal_takes_out_the_entitys_events_of_these_classes(world):
    world.consent(1, "withdrawn", "p7", "health")
    assert world.redactor.catch_up()
    assert (world.left("vitals"), world.left("doors"), world.left("weather")) == (["2", "4"], ["5"], ["6"])
    gone = [record for record in stored(world.logs, "vitals") if record.body == BLANK]
    assert all(record.flags & Flags.REDACTED for record in gone)


def test_consent_given_takes_out_nothing(world):
    world.consent(1, "granted", "p7", "health", "presence")
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["1", "2", "3", "4"]


def test_each_withdrawal_is_done_once(world):
    world.consent(1, "withdrawn", "p7", "health")
    assert world.redactor.catch_up()
    world.put("vitals", event(7, subject="p7"))
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["2", "4", "7"]
    world.consent(2, "withdrawn", "p8", "health")
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["4", "7"]


def test_what_the_last_process_left_undone_is_done(world, tmp_path):
    world.consent(1, "withdrawn", "p7", "health")
    assert world.another(tmp_path).catch_up()
    assert world.left("vitals") == ["2", "4"]


def test_a_stream_of_a_new_class_is_gone_through(world):
    world.consent(1, "withdrawn", "p7", "presence")
    assert world.redactor.catch_up()
    assert world.left("weather") == ["6"]
    streams = tuple(
        stream.model_copy(update={"data_class": "presence"}) if stream.name == "weather" else stream
        for stream in world.document.streams
    )
    world.document = world.document.model_copy(update={"streams": streams})
    assert world.redactor.catch_up()
    assert world.left("weather") == []


def test_dead_letters_of_these_streams_go_too(world):
    for stream in ("vitals", "doors", "weather"):
        body = encode_letter(stream, "http:1", Malformed("R", "m", b"of p7?"))
        world.letters.append([NewRecord(body, NOW, NOW)])
    world.consent(1, "withdrawn", "p7", "health")
    assert world.redactor.catch_up()
    left = [
        json.loads(record.body)["data"]["stream"]
        for record in stored(world.logs, "dead-letter")
        if record.body != BLANK
    ]
    assert left == ["doors", "weather"]


def test_a_stream_that_is_not_open_yet_leaves_it_undone(world):
    world.consent(1, "withdrawn", "p7", "lodging")
    world.document = policy(stream_policy("rooms", data_class="lodging"), classes=("lodging",))
    assert not world.redactor.catch_up()
    world.streams.apply(world.document)
    assert world.redactor.catch_up()


@pytest.mark.parametrize("name", ["aggregates", "rollups", "alerts", "telemetry"])
def test_logs_that_sync_writes_are_not_waited_for(world, name):
    streams = tuple(
        stream.model_copy(update={"data_class": "health"}) if stream.name == name else stream
        for stream in world.document.streams
    )
    world.document = world.document.model_copy(update={"streams": streams})
    world.consent(1, "withdrawn", "p7", "health")
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["2", "4"]


def test_what_says_who_withdrew_stays(world):
    """All that goes by the consent log takes a blank record for a loss of anybody's withdrawal, or passes it over."""
    streams = tuple(
        stream.model_copy(update={"data_class": "health"}) if stream.name == "consent" else stream
        for stream in world.document.streams
    )
    world.document = world.document.model_copy(update={"streams": streams})
    world.consent(1, "granted", "p7", "health", "presence")
    world.consent(2, "withdrawn", "p7", "health")
    assert world.redactor.catch_up()
    assert (world.left("consent"), world.left("vitals")) == (["1", "2"], ["2", "4"])


@pytest.mark.parametrize("error", [KeyError("rooms"), OSError(5, "Input/output error")])
def test_a_stream_that_cannot_be_redacted_holds_up_no_other(world, monkeypatch, error):
    world.document = policy(
        stream_policy("rooms", data_class="health"),
        *(stream for stream in world.document.streams if stream.data_class is not None),
        classes=("health", "presence"),
    )
    redact = world.logs.redact

    def failing(stream, matches):
        if stream == "rooms":
            raise error
        return redact(stream, matches)

    monkeypatch.setattr(world.logs, "redact", failing)
    world.consent(1, "withdrawn", "p7", "health")
    assert not world.redactor.catch_up()
    assert world.left("vitals") == ["2", "4"]
    world.streams.apply(world.document)
    monkeypatch.setattr(world.logs, "redact", redact)
    assert world.redactor.catch_up()


def test_the_thread_follows_and_ends(world):
    redacted = world.redactor._metrics.redactions_pending
    world.consent(1, "withdrawn", "p7", "health")
    world.redactor.start()
    while len(world.left("vitals")) > 2 or redacted._value.get():
        pass
    world.consent(2, "withdrawn", "p8", "health")
    world.redactor.notify()
    while world.left("vitals") != ["4"]:
        pass
    world.redactor.stop()
    assert not world.redactor._thread.is_alive()


def relayed(number, entity, *classes):
    hashed = None if entity is None else site_hash(SECRET, entity_key(entity))
    return Relayed("node-2", "00112233445566ff", number, hashed, frozenset(classes))


def told(world, *waiting):
    """As another node told it: by hash, through sync's file."""
    write_inbox(world.inbox, SECRET, waiting)
    ConsentRelay(world.inbox, lambda: world.streams.find("consent"), lambda: None).look()


@pytest.mark.parametrize("classes", [("health",), ("health", "other"), ()])
def test_what_another_node_told_takes_out_the_entitys_events_as_well(world, classes):
    told(world, relayed(1, "p7", *classes), relayed(2, "somebody else", "health"))
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["2", "4"]
    assert world.left("doors") == (["5"] if classes else [])


def test_a_loss_at_another_node_names_nobody(world):
    told(world, relayed(1, None))
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["1", "2", "3", "4"]


def test_without_the_secret_it_is_left_undone(world):
    told(world, relayed(1, "p7", "health"))
    content = world.inbox.read_bytes()
    for left in (None, b"{"):
        world.inbox.unlink() if left is None else world.inbox.write_bytes(left)
        with pytest.raises(FileNotFoundError):
            world.redactor.catch_up()
    assert world.left("vitals") == ["1", "2", "3", "4"]
    world.inbox.write_bytes(content)
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["2", "4"]


def test_what_is_told_again_is_recorded_once(world, tmp_path):
    told(world, relayed(1, "p7", "health"))
    told(world, relayed(1, "p7", "health"), relayed(2, "p8", "health"))
    assert len(stored(world.logs, "consent")) == 2
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["4"]


def test_what_cannot_be_recorded_now_is_recorded_later(world):
    found = []

    def stream():
        if not found:
            raise RefusedError(503, "StreamOpening", "the stream is just being opened")
        return found[0]

    write_inbox(world.inbox, SECRET, [relayed(1, "p7", "health")])
    changes = []
    relay = ConsentRelay(world.inbox, stream, lambda: changes.append(1))
    relay.look()
    assert stored(world.logs, "consent") == []
    found.append(world.streams.find("consent"))
    for _ in range(2):
        relay.look()
    assert len(stored(world.logs, "consent")) == len(changes) == 1


@pytest.mark.parametrize("kind", ["relayed", "lost"])
def test_nobody_else_may_say_what_nodes_tell_each_other(kind):
    said = event(1, type=f"dev.skerry.consent.{kind}", subject="00" * 16, data={"dataClasses": ["health"]})
    with pytest.raises(MalformedError):
        read_change(said.body)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"epoch":"x"}', b"\xff"])
def test_a_note_that_can_not_be_read_means_from_the_start(world, tmp_path, content):
    (tmp_path / "consent.json").write_bytes(content)
    world.consent(1, "withdrawn", "p7", "health")
    assert world.redactor.catch_up()
    assert world.left("vitals") == ["2", "4"]
