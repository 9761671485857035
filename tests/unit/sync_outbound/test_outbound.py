"""Sync's question before anything leaves: a policy, a real consent log, and records."""

import json
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import Consent
from skerry_core.batch.contents import Absent, AbsentReason
from skerry_core.errors import RetryError, UserMustActError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import Rule
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.ingest.consent import Relayed, entity_key, relayed_body, site_hash
from skerry_edge.ingest.dead_letters import encode_letter
from skerry_edge.ingest.errors import Malformed
from skerry_edge.sync.outbound.outbound import Outbound
from skerry_edge.sync.outbound.salt import load_salt
from tests.unit.sync_outbound.columns import NOW, NOW_US, columns, data_class, event, stream
from tests.unit.sync_outbound.test_consent import granted, withdrawn

DROP_NAME = Rule(path="name", action="Drop")
HOUR_US = 3_600_000_000


class Node:
    def __init__(self, root):
        self.root = root
        self.uptime = 10**9
        self.registry = CollectorRegistry()
        self.logs = EventLogs(root / "log", Owner("site", "node", "boot"))
        self.log = self.logs.open(StreamSettings("consent", 0, timedelta(days=30), 1 << 30))
        self.outbound = Outbound(root, root / "site-salt", root / "log" / "consent", self.registry, lambda: self.uptime)

    def adopt(self, *classes, streams=()):
        streams = (*DEFAULT_POLICY.streams, *streams)
        self.outbound.adopt(DEFAULT_POLICY.model_copy(update={"data_classes": classes, "streams": streams}))

    def consent(self, *bodies):
        self.log.append([NewRecord(body, NOW_US, NOW_US) for body in bodies])

    def sample(self, name, **labels):
        return self.registry.get_sample_value(f"skerry_sync_outbound_{name}_total", labels)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.logs.close()


@pytest.mark.parametrize("name", ["aggregates", "rollups"])
def test_statistics_leave_as_long_as_their_events_may(node, name):
    node.adopt(data_class(ttl=timedelta(hours=1)), streams=(stream("personal", data_class="personal"), stream("plain")))
    old, young = NOW_US - HOUR_US - 1, NOW_US - HOUR_US
    bodies = [event({"mean": 1}, subject) for subject in ("personal", "personal", "plain", "gone")]
    batch = columns(*bodies, received=[old, young, old, old])
    outcome = node.outbound.rows(DEFAULT_POLICY.stream(name), [batch], NOW)
    assert [row.seq for row in outcome.rows] == [2, 3, 4]
    assert outcome.absent == (Absent(1, 1, AbsentReason.EXPIRED),)


def test_a_stream_without_a_data_class_leaves_as_it_is(node):
    outcome = node.outbound.rows(stream(), [columns(event({"name": "Ann"}), b"?")], NOW)
    assert [row.body for row in outcome.rows] == [event({"name": "Ann"}), b"?"]


def test_everything_at_once_and_counted(node):
    personal = data_class(DROP_NAME, consent=Consent.REQUIRED, ttl=timedelta(hours=1))
    node.adopt(personal)
    node.consent(granted("ann", "personal"), granted("bob", "personal"), withdrawn("bob", "personal"))
    late = (1 << 63) - 1
    bodies = [event({"name": who, "v": 1}, subject=who) for who in ("ann", "bob", "ann", "eve")]
    batch = columns(*bodies, received=[NOW_US - 2 * HOUR_US, *[NOW_US] * 3], hlc=[late] * 4)
    outcome = node.outbound.rows(stream(data_class="personal"), [batch], NOW)
    assert [(row.seq, json.loads(row.body)["data"]) for row in outcome.rows] == [(3, {"v": 1})]
    assert outcome.absent == (
        Absent(1, 1, AbsentReason.EXPIRED),
        Absent(2, 2, AbsentReason.CONSENT),
        Absent(4, 4, AbsentReason.CONSENT),
    )
    counts = {name: node.sample("records", stream="readings", outcome=name) for name in ("Passed", "Consent")}
    assert counts == {"Passed": 1, "Consent": 2}
    whole = node.outbound.admitted(stream(data_class="personal", sampling=0), [batch], NOW)
    assert [row.body for row in whole] == [bodies[2]]


def test_misfits_are_counted(node):
    node.adopt(data_class(DROP_NAME))
    node.outbound.rows(stream(data_class="personal"), [columns(event("Ann"))], NOW)
    assert node.sample("misfits", stream="readings") == 1


def test_the_shorter_age_counts(node):
    node.adopt(data_class(ttl=timedelta(days=90)))
    batch = columns(event(), received=[NOW_US - 2 * 24 * HOUR_US])
    policy = stream(data_class="personal", max_age=timedelta(days=1))
    assert not node.outbound.rows(policy, [batch], NOW).rows


def test_a_clock_that_leaps_ahead_expires_nothing_until_it_stays(node):
    batch = columns(event())
    assert node.outbound.rows(stream(), [batch], NOW).rows
    ahead = NOW + timedelta(days=1000)
    assert node.outbound.rows(stream(), [batch], ahead).rows
    node.uptime += 3_600_000
    assert not node.outbound.rows(stream(), [batch], ahead).rows


def test_a_data_class_that_is_not_known_lets_nothing_out(node):
    node.adopt(data_class(DROP_NAME))
    with pytest.raises(RetryError) as raised:
        node.outbound.rows(stream(data_class="other"), [columns(event())], NOW)
    assert raised.value.reason == "PolicyChanged"


def test_without_the_consent_log_nothing_that_needs_consent_leaves(node):
    node.adopt(data_class(consent=Consent.REQUIRED))
    identity = node.root / "log" / "consent" / "log.json"
    identity.unlink()
    identity.mkdir()
    with pytest.raises(RetryError) as raised:
        node.outbound.rows(stream(data_class="personal"), [columns(event())], NOW)
    assert raised.value.reason == "ConsentUnreadable"
    assert node.outbound.rows(stream(), [columns(event())], NOW).rows
    identity.rmdir()


@pytest.mark.parametrize(
    ("name", "leaves"), [("open", True), ("aged", True), ("ruled", False), ("asked", False), ("unknown", False)]
)
def test_dead_letters_tell_nothing_that_their_streams_may_not(node, name, leaves):
    classes = (
        data_class(DROP_NAME, name="rules"),
        data_class(name="consent", consent=Consent.REQUIRED),
        data_class(name="ttl", ttl=timedelta(days=1)),
    )
    of = {"open": None, "aged": "ttl", "ruled": "rules", "asked": "consent"}
    node.adopt(*classes, streams=[stream(one, data_class=class_name) for one, class_name in of.items()])
    letters = DEFAULT_POLICY.stream("dead-letter")
    for original in (b'{"name":"Ann"', b"Ann\xff"):
        body = encode_letter(name, "http:10.1.2.3", Malformed("NotJson", "Ann is no number", original))
        [row] = node.outbound.rows(letters, [columns(body)], NOW).rows
        data = json.loads(row.body)["data"]
        assert (data["stream"], data["reason"], data["bytes"]) == (name, "NotJson", len(original))
        assert (len(data) > 3) is leaves
        assert row.body == body if leaves else b"Ann" not in row.body


def test_a_dead_letter_that_cannot_be_read_does_not_leave(node):
    outcome = node.outbound.rows(DEFAULT_POLICY.stream("dead-letter"), [columns(b"?", b'{"data":1}')], NOW)
    assert outcome.absent == (Absent(1, 2, AbsentReason.DAMAGED),)


CONSENT_STREAM = DEFAULT_POLICY.stream("consent")


def told(node, *bodies, policy=CONSENT_STREAM):
    return [json.loads(row.body) for row in node.outbound.rows(policy, [columns(*bodies)], NOW).rows]


def test_consent_leaves_by_hashes_that_its_classes_events_bear_too(node):
    node.adopt(data_class(name="a", hash_subject=True), data_class(name="b", hash_subject=True), data_class(name="c"))
    body = event(
        {"dataClasses": ["c", "a"], "signed": "Ann"},
        subject="ann",
        id="ann-1",
        source="/desk/ann",
        type="dev.skerry.consent.granted",
        time="2026-03-01T12:00:00Z",
        comment="Ann called",
    )
    for bodies in ((body,), (body.replace(b"granted", b"withdrawn"),)):
        [record] = told(node, *bodies)
        assert "ann" not in json.dumps(record).lower()
        assert set(record) == {"specversion", "id", "source", "type", "subject", "time", "data"}
        assert record["data"]["dataClasses"] == ["a", "c"]
        [joined] = told(node, event(subject="ann"), policy=stream(data_class="a"))
        assert record["data"]["subjects"] == {"a": joined["subject"]}
        assert record["subject"] != joined["subject"]
    assert told(node, body)[0] == told(node, body)[0]
    assert told(node, granted("bob", "a"))[0]["subject"] != told(node, granted("ann", "a"))[0]["subject"]


@pytest.mark.parametrize("entity", ["ab" * 16, None])
def test_of_what_other_nodes_told_their_hash_does_not_leave(node, entity):
    relayed = Relayed("node-2", "00112233445566ff", 7, entity, frozenset({"b", "a"} if entity else ()))
    [record] = told(node, relayed_body(relayed))
    assert record["type"] == f"dev.skerry.consent.{'relayed' if entity else 'lost'}"
    assert ("subject" in record) is (entity is not None)
    assert record["data"] == {"dataClasses": ["a", "b"] if entity else []}
    assert "ab" * 16 not in json.dumps(record)
    assert "node-2" not in json.dumps(record)


def test_what_other_nodes_told_leaves_under_a_name_that_the_entitys_own_records_bear(node):
    hashed = site_hash(node.outbound.relay_key, entity_key("ann"))
    [granted_here] = told(node, granted("ann", "a"))
    [record] = told(node, relayed_body(Relayed("node-2", "00112233445566ff", 7, hashed, frozenset({"a"}))))
    assert granted_here["data"]["relay"] == record["subject"] != granted_here["subject"]


def test_names_leave_by_hash_before_any_policy_and_with_a_class_that_has_no_rules(node):
    assert b"ann" not in node.outbound.rows(CONSENT_STREAM, [columns(granted("ann", "a"))], NOW).rows[0].body
    node.adopt(data_class(ttl=timedelta(days=1)))
    [record] = told(node, granted("ann", "a"), policy=stream("consent", data_class="personal"))
    assert record["subject"] != "ann"


def test_a_data_class_with_rules_decides_what_of_consent_leaves(node):
    node.adopt(data_class(Rule(path="signed", action="Drop")))
    [record] = told(node, granted("ann", "a"), policy=stream("consent", data_class="personal"))
    assert record["subject"] == "ann"


@pytest.mark.parametrize(
    "body", [b"?", b"[]", b"{}", event(subject="ann", type="other"), granted("ann"), event({"dataClasses": ["a"]})]
)
def test_consent_that_cannot_be_read_does_not_leave(node, body):
    assert node.outbound.rows(CONSENT_STREAM, [columns(body)], NOW).absent == (Absent(1, 1, AbsentReason.DAMAGED),)


def test_dead_letters_of_consent_tell_no_names(node):
    node.adopt()
    body = encode_letter("consent", "http:10.1.2.3", Malformed("NotJson", "Ann is no number", b"Ann"))
    [row] = node.outbound.rows(DEFAULT_POLICY.stream("dead-letter"), [columns(body)], NOW).rows
    assert b"Ann" not in row.body


def test_salt_is_made_once_and_kept_for_oneself(tmp_path):
    path = tmp_path / "salt"
    salt = load_salt(path, tmp_path / "site-salt")
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o644)
    assert load_salt(path, tmp_path / "site-salt") == salt
    assert path.stat().st_mode & 0o777 == 0o600
    assert salt.key("hash") != salt.key("sampling")
    assert salt.secret.hex() not in repr(salt)
    assert repr(salt.secret) not in repr(salt)


def test_nodes_of_a_site_take_its_salt_and_keep_it_when_it_is_gone(tmp_path):
    given = tmp_path / "site-salt"
    given.write_bytes(b"s" * 32)
    one, other = (load_salt(tmp_path / name, given) for name in ("one", "other"))
    given.unlink()
    assert one == other == load_salt(tmp_path / "one", given)


@pytest.mark.parametrize("left", [b"", b"short", b"x" * 33])
def test_a_damaged_salt_is_not_replaced(tmp_path, left):
    (tmp_path / "salt").write_bytes(left)
    with pytest.raises(UserMustActError) as raised:
        load_salt(tmp_path / "salt", tmp_path / "site-salt")
    assert raised.value.reason == "SaltDamaged"
    assert (tmp_path / "salt").read_bytes() == left


def test_hashes_outlive_a_restart(node):
    hashes = set()
    for _ in range(2):
        outbound = Outbound(
            node.root, node.root / "site-salt", node.root / "log" / "consent", CollectorRegistry(), lambda: node.uptime
        )
        document = DEFAULT_POLICY.model_copy(update={"data_classes": (data_class(hash_subject=True),)})
        outbound.adopt(document)
        hashes |= {
            row.body for row in outbound.rows(stream(data_class="personal"), [columns(event(subject="ann"))], NOW).rows
        }
    assert len(hashes) == 1
