"""What needs no broker: messages to events, which messages come again, and the broker's files."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.errors import UserMustActError
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.errors import Malformed
from skerry_edge.ingest.limits import MAX_RAW_EVENT
from skerry_edge.ingest.mqtt.broker import load_broker
from skerry_edge.ingest.mqtt.payload import Message, content_hash, made_id, parse_made_id, read_message
from skerry_edge.ingest.mqtt.redeliveries import RECEIVE_MAXIMUM, REMEMBERED, Redeliveries
from tests.unit.ingest.worlds import NOW, raw_event

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}


def message(payload, topic="a/b", **more):
    return Message(**{"topic": topic, "payload": payload, "qos": 1, "mid": 7, "again": False, "connection": 1, **more})


def body(found):
    assert isinstance(found, Event), found
    return json.loads(found.body)


@pytest.mark.parametrize(
    "content_type",
    ["", "application/cloudevents+json", "Application/CloudEvents+JSON; charset=utf-8", "application/json"],
)
def test_structured(content_type):
    found = read_message(message(raw_event(1), content_type=content_type), NOW)
    assert body(found) == {**REQUIRED, "mqtttopic": "a/b"}
    assert found.given_id


def test_binary_by_properties():
    user = tuple({**REQUIRED, "subject": "Euro € %20"}.items())
    found = read_message(message(b'{"x":1}', content_type="application/json", properties=user), NOW)
    assert body(found) == {
        **REQUIRED,
        "subject": "Euro € %20",
        "datacontenttype": "application/json",
        "mqtttopic": "a/b",
        "data": {"x": 1},
    }


@pytest.mark.parametrize("payload", [b"23.50", b'{"t": 1}', b"[1,2]", b'"on"', b"null", b"true"])
def test_plain_json(payload):
    found = read_message(message(payload, topic="plant 1/é/temp"), NOW)
    told = body(found)
    assert told["data"] == json.loads(payload)
    assert (told["type"], told["source"], told["mqtttopic"]) == (
        "dev.skerry.plain",
        "mqtt:plant%201/%C3%A9/temp",
        "plant 1/é/temp",
    )
    assert not found.given_id
    assert found.time is None


@pytest.mark.parametrize(
    ("payload", "content_type", "reason"),
    [
        (b"ON", "", "InvalidJson"),
        (b"", "", "InvalidJson"),
        (b"\xff", "", "InvalidJson"),
        (b'{"specversion":"1.0"}', "", "AttributeMissing"),
        (b'{"t":1}', "application/cloudevents+json", "AttributeMissing"),
        (b"5", "application/cloudevents+json", "NotAnObject"),
        (b"[]", "application/cloudevents-batch+json", "UnsupportedMediaType"),
        (b"x", "application/cloudevents+avro", "UnsupportedMediaType"),
        (b"1" * (MAX_RAW_EVENT + 1), "", "TooLarge"),
    ],
)
def test_malformed(payload, content_type, reason):
    found = read_message(message(payload, content_type=content_type), NOW)
    assert isinstance(found, Malformed)
    assert (found.reason, found.original) == (reason, payload)


def test_a_topic_that_no_attribute_can_hold_is_malformed():
    assert isinstance(read_message(message(b"1", topic="a/\x01"), NOW), Malformed)


@given(
    topic=st.text(min_size=1, max_size=30),
    payload=st.binary(max_size=50),
    mid=st.integers(0, 65535),
    at=st.integers(0, 1 << 60),
)
def test_a_made_id_tells_what_it_was_made_of(topic, payload, mid, at):
    told = message(payload, topic=topic, mid=mid)
    assert parse_made_id("mqtt:x", made_id(told, at)) == (mid, content_hash(told))
    assert parse_made_id("/x", made_id(told, at)) is None


@pytest.mark.parametrize("event_id", ["", "1", "a.b.c", "1.2.3", "12.345678.0123456789abcdef"])
def test_other_ids(event_id):
    assert parse_made_id("mqtt:x", event_id) is None


def test_content_is_topic_and_payload():
    assert content_hash(message(b"b", topic="a")) != content_hash(message(b"", topic="ab"))


class Exchange:
    """The model: a broker that sends in order, few contents, identifiers that come round; a client that may die."""

    def __init__(self, identifiers, at_once):
        """`at_once` messages may be unacknowledged."""
        self.identifiers = identifiers
        self.at_once = at_once
        self.sent = 0
        self.unacknowledged = []
        self.inbox = []
        self.acknowledgements = 0
        self.memory = Redeliveries()
        self.stored = []

    def send(self, content, count=1):
        for _ in range(min(count, self.at_once - len(self.unacknowledged))):
            self.unacknowledged.append((self.sent, self.sent % self.identifiers, content))
            self.inbox.append((*self.unacknowledged[-1], False))
            self.sent += 1

    def store(self, count):
        for number, mid, content, again in self.inbox[:count]:
            if not again:
                self.memory.begun(mid)
            if not (again and self.memory.knows(mid, content)):
                self.stored.append((number, mid, content))
                self.memory.stored(mid, content)
            self.acknowledgements += 1
        del self.inbox[:count]

    def acknowledge(self, count):
        done = min(count, self.acknowledgements)
        del self.unacknowledged[:done]
        self.acknowledgements -= done

    def lose_the_connection(self):
        self.acknowledgements = 0
        self.inbox = [(*item, True) for item in self.unacknowledged]

    def die(self):
        """The log's tail tells what was stored."""
        self.memory = Redeliveries((mid, content) for _, mid, content in self.stored)
        self.lose_the_connection()


LAP = RECEIVE_MAXIMUM + 1
MANY = 4 * RECEIVE_MAXIMUM
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just(Exchange.send), st.sampled_from(["a", "b"]), st.sampled_from([1, RECEIVE_MAXIMUM])),
        st.tuples(st.sampled_from([Exchange.store, Exchange.acknowledge]), st.integers(1, MANY)),
        st.tuples(st.sampled_from([Exchange.lose_the_connection, Exchange.die])),
    ),
    max_size=100,
)


@pytest.mark.parametrize(
    ("identifiers", "at_once", "before"),
    [
        pytest.param(LAP, RECEIVE_MAXIMUM, LAP + 1, id="given out anew as soon as they may be"),
        pytest.param(65_535, MANY, 0, id="given out in turn, by a broker that has too many unacknowledged"),
    ],
)
@given(steps=STEPS, more=st.integers(0, MANY))
def test_every_message_is_stored_once_however_often_it_comes_again(identifiers, at_once, before, steps, more):
    exchange = Exchange(identifiers, at_once)
    for _ in range(before + more):
        exchange.send("a")
        exchange.store(1)
        exchange.acknowledge(1)
    for step, *values in steps:
        step(exchange, *values)
    exchange.lose_the_connection()
    exchange.store(at_once)
    assert [number for number, _, _ in exchange.stored] == list(range(exchange.sent))


def test_of_a_new_session_nothing_is_known():
    memory = Redeliveries([(1, "a")])
    assert memory.knows(1, "a")
    assert not memory.knows(1, "b")
    assert not memory.knows(2, "a")
    memory.forget()
    assert not memory.knows(1, "a")


def test_only_the_last_messages_are_known():
    memory = Redeliveries((mid, "x") for mid in range(REMEMBERED + 1))
    assert not memory.knows(0, "x")
    assert memory.knows(1, "x")


def test_fewer_are_known_of_a_broker_that_gives_identifiers_out_anew():
    memory = Redeliveries((mid, "x") for mid in (*range(RECEIVE_MAXIMUM + 1), 1))
    assert not memory.knows(0, "x")
    assert memory.knows(1, "x")
    memory.forget()
    for mid in range(REMEMBERED):
        memory.stored(mid, "x")
    assert memory.knows(0, "x")


def files(folder, **contents):
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name.replace("_", ".")).write_text(content)
    return folder


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("mqtt://broker", ("broker", 1883, False)),
        ("mqtts://broker\n", ("broker", 8883, True)),
        ("mqtt://10.0.0.1:99/", ("10.0.0.1", 99, False)),
        ("mqtts://[::1]:99", ("::1", 99, True)),
    ],
)
def test_brokers(tmp_path, url, expected):
    broker = load_broker(files(tmp_path, url=url))
    assert (broker.host, broker.port, broker.tls) == expected
    assert not broker.shared


@pytest.mark.parametrize(
    "url",
    ["broker", "http://broker", "mqtt://", "mqtt://b:x", "mqtt://b:99999", "mqtt://b/x", "mqtt://u:p@b", "mqtt://b?x"],
)
def test_what_is_no_url_of_a_broker(tmp_path, url):
    with pytest.raises(UserMustActError):
        load_broker(files(tmp_path, url=url))


@pytest.mark.parametrize("contents", [{}, {"url": ""}, {"url": " \n"}, {"username": "x"}])
def test_no_broker(tmp_path, contents):
    assert load_broker(files(tmp_path, **contents)) is None
    assert load_broker(tmp_path / "nothing") is None


def test_credentials_are_read_and_not_shown(tmp_path):
    folder = files(tmp_path, url="mqtt://b", username="node\n", password="secret\n", shared="true")
    broker = load_broker(folder)
    assert (broker.text("username"), broker.text("password"), broker.text("ca.crt")) == ("node", "secret", None)
    assert broker.shared
    assert "secret" not in repr(broker)
    assert broker == load_broker(folder)
    assert broker != load_broker(files(tmp_path, password="other"))


@pytest.mark.parametrize("contents", [{"ca_crt": "x"}, {"tls_crt": "x", "tls_key": "y"}])
def test_certificates_that_can_not_serve(tmp_path, contents):
    with pytest.raises(UserMustActError):
        load_broker(files(tmp_path, url="mqtts://b", **contents)).tls_context()


def test_a_word_that_shared_may_not_be(tmp_path):
    with pytest.raises(UserMustActError):
        load_broker(files(tmp_path, url="mqtt://b", shared="yes"))


def test_an_identifier_that_is_used_anew_names_another_message():
    redeliveries = Redeliveries([(1, "same")])
    redeliveries.begun(1)
    assert not redeliveries.knows(1, "same")
