"""Judging, dead letters and consent, without a port."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.flags import Flags
from skerry_core.lineage.record import RecordId
from skerry_edge.events.record import MAX_BODY
from skerry_edge.ingest import consent
from skerry_edge.ingest.cloudevent import from_json
from skerry_edge.ingest.dead_letters import DeadLetters, encode_letter
from skerry_edge.ingest.errors import Malformed, MalformedError, RefusedError
from skerry_edge.ingest.intake import Intake
from skerry_edge.ingest.label import Label, read_label
from skerry_edge.ingest.limits import DEAD_LETTER_BURST, DEAD_LETTER_BYTES
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.node_time import NodeTime
from tests.unit.ingest.worlds import FAILED, FULL, NOW, ScriptedLog, event, registry, stream_over


class World:
    def __init__(self, plan=(), **policy):
        self.registry = registry()
        self.log, self.letters = ScriptedLog(plan), ScriptedLog()
        self.steady = 0.0
        self.stream, self.clock = stream_over(self.log, **policy)
        dead_letters = DeadLetters(NodeTime(lambda: NOW), lambda: self.steady, self.lost)
        dead_letters.log = self.letters
        self.lost_letters = 0
        self.consent_changes = 0
        self.intake = Intake(dead_letters, IngestMetrics(self.registry), self.consent)

    def lost(self, count):
        self.lost_letters += count

    def consent(self):
        self.consent_changes += 1

    def take(self, *found):
        return self.intake.take(self.stream, lambda: found, via="http", origin=lambda index: f"http:{index}")

    def value(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


BAD = Malformed("InvalidJson", "not JSON", b"{")


def test_valid_events_are_stored_and_malformed_ones_kept_as_dead_letters():
    world = World()
    outcome = world.take(event(1), BAD, event(2), event(1))
    assert (outcome.receipt.accepted, outcome.receipt.duplicates) == (2, 1)
    assert outcome.rejected == ((1, BAD),)
    (letter,) = world.letters.records
    body = json.loads(letter.body)
    assert body["data"] == {
        "stream": "readings",
        "reason": "InvalidJson",
        "message": "not JSON",
        "origin": "http:1",
        "bytes": 1,
        "text": "{",
    }
    assert letter.flags == Flags.TIME_MISSING
    assert from_json(letter.body).type == "dev.skerry.dead-letter"
    assert world.value("skerry_events_accepted_total", stream="readings", via="http") == 2
    assert world.value("skerry_events_duplicates_total", stream="readings", via="http") == 1
    assert world.value("skerry_events_rejected_total", stream="readings", reason="InvalidJson") == 1
    assert world.value("skerry_events_bytes_total", stream="readings") == sum(len(r.body) for r in world.log.records)
    assert world.value("skerry_events_append_seconds_count", stream="readings") == 1


def test_nothing_is_kept_of_a_request_that_is_refused():
    world = World([FULL])
    with pytest.raises(RefusedError) as refused:
        world.take(event(1), BAD)
    assert refused.value.status == 507
    assert not world.letters.records


@pytest.mark.parametrize(("plan", "status"), [([FULL], 507), ([FAILED], 503)])
def test_a_log_that_refuses(plan, status):
    with pytest.raises(RefusedError) as refused:
        World(plan).take(event(1))
    assert refused.value.status == status


def test_an_event_larger_than_the_stream_takes():
    world = World(max_body=100)
    outcome = world.take(event(1), event(2, data="x" * 100))
    assert outcome.receipt.accepted == 1
    assert [(index, malformed.reason) for index, malformed in outcome.rejected] == [(1, "TooLarge")]


def test_too_many_events_a_second():
    world = World(max_rate=1.0)
    world.take(*(event(n) for n in range(8)))
    with pytest.raises(RefusedError) as refused:
        world.take(event(9))
    assert refused.value.status == 429
    assert refused.value.retry_after > 0
    assert "'/s'" in str(refused.value)


def test_a_request_whose_stored_form_is_too_large():
    with pytest.raises(RefusedError) as refused:
        World().take(*(event(n, data="x" * 60_000) for n in range(60)))
    assert refused.value.status == 413


def test_dead_letters_come_at_a_bounded_rate():
    world = World()
    world.take(*[BAD] * 200)
    assert len(world.letters.records) == DEAD_LETTER_BURST
    assert world.lost_letters == 200 - DEAD_LETTER_BURST
    world.steady = 1.0
    world.take(*[BAD] * 200)
    assert len(world.letters.records) == DEAD_LETTER_BURST + 5


def test_dead_letters_that_find_no_log_are_counted():
    world = World()
    world.intake._dead_letters.log = None
    world.take(BAD, BAD)
    assert world.lost_letters == 2


@given(original=st.binary(max_size=200) | st.text(max_size=200).map(str.encode), cut=st.booleans())
def test_a_dead_letter_has_the_first_bytes_as_they_came(original, cut):
    whole = original * (DEAD_LETTER_BYTES // max(1, len(original)) + 1) if cut and original else original
    data = json.loads(encode_letter("s", "o", Malformed("R", "m", whole)))["data"]
    found = data["text"].encode() if "text" in data else base64.b64decode(data["base64"])
    head = whole[:DEAD_LETTER_BYTES]
    assert data["bytes"] == len(whole)
    assert head.startswith(found)
    assert len(head) - len(found) < 4


@pytest.mark.parametrize(
    "original", [b"\x00" * 20_000, b"\xff" * 20_000, b'"' * 20_000, b"\\" * 20_000, b"\x1f" * 16384]
)
def test_a_dead_letter_always_fits(original):
    assert len(encode_letter("s" * 63, "o" * 5000, Malformed("R" * 20, "\x01" * 600, original))) <= MAX_BODY


def test_events_of_the_consent_stream_must_say_what_they_mean():
    world = World(name="consent")
    good = event(1, type="dev.skerry.consent.withdrawn", subject="p7", data={"dataClasses": ["health"]})
    outcome = world.take(good, event(2))
    assert outcome.receipt.accepted == 1
    assert [malformed.reason for _, malformed in outcome.rejected] == ["InvalidConsent"]
    assert world.consent_changes == 1
    world.take(good)
    assert world.consent_changes == 1


@pytest.mark.parametrize("kind", ["granted", "withdrawn"])
def test_a_change_of_consent(kind):
    body = event(1, type=f"dev.skerry.consent.{kind}", subject="p7", data={"dataClasses": ["a", "b"]}).body
    assert consent.read_change(body) == consent.Change("p7", frozenset({"a", "b"}), withdrawn=kind == "withdrawn")


@pytest.mark.parametrize(
    "changes",
    [
        {"type": "t"},
        {"type": "dev.skerry.consent.revoked"},
        {"subject": None},
        {"data": None},
        {"data": {}},
        {"data": {"dataClasses": []}},
        {"data": {"dataClasses": "health"}},
        {"data": {"dataClasses": [1]}},
        {"data": {"dataClasses": ["Health"]}},
        {"data": {"dataClasses": ["a"] * 65}},
        {"data": [{"dataClasses": ["a"]}]},
    ],
)
def test_what_is_no_change_of_consent(changes):
    good = {"type": "dev.skerry.consent.granted", "subject": "p7", "data": {"dataClasses": ["a"]}}
    with pytest.raises(MalformedError):
        consent.read_change(event(1, **{**good, **changes}).body)


ABOUT = "site-a/node-1/00aa/7"


def test_events_of_the_stream_labels_must_say_what_they_mean():
    world = World(name="labels")
    outcome = world.take(event(1, data={"prediction": ABOUT, "value": 3}), event(2, data={"value": 3}))
    assert outcome.receipt.accepted == 1
    assert [malformed.reason for _, malformed in outcome.rejected] == ["InvalidLabel"]
    assert world.consent_changes == 0


@pytest.mark.parametrize(
    ("data", "values", "authority", "training"),
    [
        ({"value": 3}, (3.0,), 0, True),
        ({"value": -1.5, "authority": 9}, (-1.5,), 9, True),
        ({"values": [1, 2.5]}, (1.0, 2.5), 0, True),
        ({"value": 0, "training": False}, (0.0,), 0, False),
        ({"value": 3, "values": None, "note": "whatever else"}, (3.0,), 0, True),
    ],
)
def test_a_label(data, values, authority, training):
    found = read_label(event(1, data={"prediction": ABOUT, **data}).body)
    assert found == Label(RecordId("site-a", "node-1", "00aa", 7), values, authority, training)


@pytest.mark.parametrize(
    "changes",
    [
        {"prediction": None},
        {"prediction": ""},
        {"prediction": "7"},
        {"prediction": "site-a/node-1/00aa"},
        {"prediction": "site-a/node-1/00aa/0"},
        {"prediction": "site-a/node-1/00aa/07"},
        {"prediction": "site-a/node-1/00aa/-7"},
        {"prediction": "site-a/node-1/00aa/\u0667"},
        {"prediction": f"site-a/node-1/00aa/{1 << 63}"},
        {"prediction": "site-a/node-1/00aa/" + "9" * 400},
        {"prediction": "site-a//00aa/7"},
        {"prediction": "x" * 600 + "/n/e/1"},
        {"value": None},
        {"value": "3"},
        {"value": True},
        {"value": [3]},
        {"values": [3]},
        {"value": None, "values": []},
        {"value": None, "values": [1.0] * 65},
        {"value": None, "values": [None]},
        {"authority": 10},
        {"authority": -1},
        {"authority": 0.5},
        {"training": "no"},
    ],
)
def test_what_is_no_label(changes):
    data = {"prediction": ABOUT, "value": 3, **changes}
    with pytest.raises(MalformedError) as refused:
        read_label(event(1, data=data).body)
    assert refused.value.reason == "InvalidLabel"


@given(st.binary(max_size=200) | st.text(max_size=100).map(lambda text: event(1, data={"prediction": text}).body))
def test_whatever_comes_is_a_label_or_malformed(body):
    with pytest.raises(MalformedError):
        read_label(body)
