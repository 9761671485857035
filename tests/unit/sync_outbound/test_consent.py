"""The fold of the consent log, pure; and kept beside a real log that is lost, damaged or begun anew."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from skerry_core.errors import RetryError
from skerry_edge.events.follow import Place
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.segment import BLOCKS_AT, segment_firsts, segment_path
from skerry_edge.events.settings import StreamSettings
from skerry_edge.ingest.consent import GRANTED, WITHDRAWN, Relayed, entity_key, relayed_body, site_hash
from skerry_edge.sync.outbound import consent as module
from skerry_edge.sync.outbound.consent import Consents, fold
from skerry_edge.sync.outbound.consent_keeper import ConsentKeeper
from tests.unit.sync_outbound.columns import NOW, NOW_US, event

LATER = 1 << 60
SECRET = b"of the site"


def granted(entity, *classes):
    return event({"dataClasses": list(classes)}, subject=entity, type=GRANTED)


def withdrawn(entity, *classes):
    return event({"dataClasses": list(classes)}, subject=entity, type=WITHDRAWN)


def relayed(number, entity, *classes, node="other", incarnation="00112233445566ff"):
    hashed = None if entity is None else site_hash(SECRET, entity_key(entity))
    return Relayed(node, incarnation, number, hashed, frozenset(classes))


def told_of(*args, **options):
    return relayed_body(relayed(*args, **options))


def folded(*bodies):
    return fold(Consents(), ((seq, seq * 10, body) for seq, body in enumerate(bodies, 1)), SECRET)


@pytest.mark.parametrize(
    ("bodies", "hlc", "covers"),
    [
        ([], LATER, ""),
        ([granted("ann", "a")], LATER, "a"),
        ([granted("ann", "a")], 11, "a"),
        ([granted("ann", "a")], 10, ""),
        ([granted("bob", "a")], LATER, ""),
        ([granted("ann", "a", "b")], LATER, "ab"),
        ([granted("ann", "a"), granted("ann", "a", "b")], 11, "a"),
        ([granted("ann", "a", "b"), withdrawn("ann", "a")], LATER, "b"),
        ([granted("ann", "a"), withdrawn("ann", "a"), granted("ann", "a")], 30, ""),
        ([granted("ann", "a"), withdrawn("ann", "a"), granted("ann", "a")], 31, "a"),
        ([withdrawn("ann", "a"), granted("ann", "a")], LATER, "a"),
        # Not to be understood, but about somebody.
        ([granted("ann", "a", "b"), event({"dataClasses": "b"}, subject="ann", type=WITHDRAWN)], LATER, ""),
        ([granted("ann", "a"), event(subject="ann", type="other")], LATER, ""),
        ([granted("ann", "a"), event(source="ann", type="other")], LATER, ""),
        ([granted("ann", "a"), event(subject="bob", type="other")], LATER, "a"),
        # What other nodes told of.
        ([granted("ann", "a", "b"), told_of(1, "ann", "a")], LATER, "b"),
        ([granted("ann", "a", "b"), told_of(1, "ann")], LATER, ""),
        ([granted("ann", "a", "b"), told_of(1, "bob", "a")], LATER, "ab"),
        ([granted("ann", "a"), told_of(1, None)], LATER, ""),
        ([told_of(1, "ann", "a"), granted("ann", "a")], LATER, "a"),
        ([told_of(1, "bob"), granted("ann", "a"), told_of(2, "ann", "a")], LATER, ""),
        ([granted("ann", "a"), told_of(1, "ann", "a"), granted("ann", "a"), told_of(1, "ann", "a")], LATER, "a"),
        ([told_of(2, "bob"), granted("ann", "a"), told_of(1, "ann", "a")], LATER, "a"),
        ([told_of(2, "bob"), granted("ann", "a"), told_of(1, "ann", "a", node="third")], LATER, ""),
        ([told_of(2, "bob"), granted("ann", "a"), told_of(1, "ann", incarnation="ff" * 8)], LATER, ""),
        # About nobody knows whom: a redacted record.
        ([granted("ann", "a"), b"{}"], LATER, ""),
        ([granted("ann", "a"), b"\xff"], LATER, ""),
    ],
)
def test_fold(bodies, hlc, covers):
    consents = folded(*bodies)
    assert {name for name in "abc" if consents.cover("ann", name, hlc)} == set(covers)
    assert consents.seq == len(bodies)
    assert not consents.cover(None, "a", LATER)


def test_bounds(monkeypatch):
    monkeypatch.setattr(module, "MAX_ENTITIES", 2)
    monkeypatch.setattr(module, "MAX_CLASSES", 2)
    consents = folded(granted("a", "x"), granted("b", "x"), granted("c", "x"), granted("b", "y"))
    assert [consents.cover(name, "x", LATER) for name in "abc"] == [True, True, False]
    assert (consents.refused, len(consents.grants)) == (1, 2)
    assert not folded(granted("a", "x", "y"), granted("a", "z")).grants
    assert folded(granted("a", "x"), granted("b", "x"), withdrawn("a", "x"), granted("c", "x")).refused == 0


STEPS = st.lists(
    st.tuples(st.sampled_from("ab"), st.sets(st.sampled_from("xyz"), min_size=1), st.booleans()), max_size=12
)


@given(STEPS, st.integers(0, 12))
def test_fold_is_what_the_last_word_on_each_class_says_wherever_it_is_cut(steps, cut):
    records = [
        (seq, seq * 10, (granted if grant else withdrawn)(entity, *classes))
        for seq, (entity, classes, grant) in enumerate(steps, 1)
    ]
    consents = fold(fold(Consents(), records[:cut], SECRET), records[cut:], SECRET)
    for entity in "ab":
        for name in "xyz":
            said = [grant for who, classes, grant in steps if who == entity and name in classes]
            assert consents.cover(entity, name, LATER) == (said[-1:] == [True])


def test_how_far_others_told_is_remembered_of_so_many_nodes(monkeypatch):
    monkeypatch.setattr(module, "MAX_NODES", 2)
    consents = folded(
        told_of(1, "a", node="n1"), told_of(1, "a", node="n2"), told_of(2, "a", node="n1"), told_of(9, "a", node="n3")
    )
    assert {node: number for node, (_, number) in consents.taken.items()} == {"n1": 2, "n3": 9}


# --- beside a log


class Node:
    def __init__(self, root):
        self.root = root
        self.now = NOW
        self.open_log()
        self.start()

    def open_log(self):
        self.logs = EventLogs(self.root / "log", Owner("site", "node", "boot"))
        self.log = self.logs.open(StreamSettings("consent", 0, timedelta(days=30), 1 << 30))

    def start(self):
        log = self.root / "log" / "consent"
        self.keeper = ConsentKeeper(self.root / "consent.json", log, SECRET, CollectorRegistry())

    def append(self, *bodies):
        return self.log.append([NewRecord(body, NOW_US, NOW_US) for body in bodies])

    def segment(self):
        return segment_path(self.log.directory, segment_firsts(self.log.directory)[0])

    def consenting(self, *names):
        consents = self.keeper.current(self.now)
        return {name for name in names if consents.cover(name, "a", (1 << 64) - 2)}


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.logs.close()


def test_without_a_log_nobody_consents(tmp_path):
    keeper = ConsentKeeper(tmp_path / "consent.json", tmp_path / "none", SECRET, CollectorRegistry())
    assert not keeper.current(NOW).cover("ann", "a", LATER)
    assert keeper.held() == Place()


def test_follows_the_log(node):
    node.append(granted("ann", "a"))
    assert node.consenting("ann", "bob") == {"ann"}
    node.append(granted("bob", "a"), withdrawn("ann", "a"))
    assert node.consenting("ann", "bob") == {"bob"}


def test_what_is_expected_holds_before_the_log_has_it(node):
    node.append(granted("ann", "a"), granted("bob", "a"))
    node.keeper.expect([relayed(1, "ann", "a")])
    assert node.consenting("ann", "bob") == {"bob"}
    assert node.keeper.taken(node.now) == {}
    node.append(told_of(1, "ann", "a"))
    assert dict(node.keeper.taken(node.now)) == {"other": ("00112233445566ff", 1)}
    node.append(granted("ann", "a"))
    assert node.consenting("ann", "bob") == {"ann", "bob"}
    node.now += timedelta(minutes=1)
    node.append(granted("cat", "a"))
    node.consenting()
    node.start()
    assert node.keeper.taken(node.now)["other"] == ("00112233445566ff", 1)


def test_the_file_is_only_for_a_quick_start(node):
    node.append(granted("ann", "a"), granted("bob", "a"))
    node.consenting()
    assert node.keeper.held() == Place(node.log.epoch, 2)
    node.append(withdrawn("ann", "a"))
    assert node.consenting("ann", "bob") == {"bob"}
    assert node.keeper.held().seq == 2  # not written that often
    node.start()
    assert node.consenting("ann", "bob") == {"bob"}
    node.now += timedelta(minutes=1)
    node.append(withdrawn("bob", "a"))
    node.consenting()
    assert node.keeper.held().seq == 4
    assert (node.root / "consent.json").stat().st_mode & 0o777 == 0o600
    assert "ann" not in (node.root / "consent.json").read_text()


@pytest.mark.parametrize("left", [None, b"", b"{", b'{"epoch":1}', b"\xff"])
def test_a_lost_file_is_folded_anew(node, left):
    node.append(granted("ann", "a"), granted("bob", "a"), withdrawn("ann", "a"))
    node.consenting()
    note = node.root / "consent.json"
    note.unlink() if left is None else note.write_bytes(left)
    node.start()
    assert node.consenting("ann", "bob") == {"bob"}


def test_grants_outlive_segments_that_were_removed(node):
    node.append(granted("ann", "a"))
    node.log.roll()
    node.consenting()
    node.segment().unlink()
    node.start()
    node.append(granted("bob", "a"))
    assert node.consenting("ann", "bob") == {"ann", "bob"}


def test_after_a_loss_everybody_must_consent_anew(node):
    node.append(granted("ann", "a"))
    assert node.consenting("ann") == {"ann"}
    node.append(withdrawn("ann", "a"))
    node.log.roll()
    with node.segment().open("r+b") as file:
        file.seek(-20, 2)
        file.write(b"damaged")
    node.append(granted("bob", "a"))
    assert node.consenting("ann", "bob") == {"bob"}


def test_damage_before_the_start_costs_what_lies_before_it(node):
    node.append(granted("ann", "a"))
    node.append(withdrawn("ann", "a"))
    node.append(granted("bob", "a"))
    with node.segment().open("r+b") as file:
        size = (node.segment().stat().st_size - BLOCKS_AT) // 3
        file.seek(BLOCKS_AT + size + size // 2)
        file.write(b"damaged")
    assert node.consenting("ann", "bob") == {"bob"}


def test_a_log_that_began_anew_is_another_log(node):
    node.append(granted("ann", "a"))
    assert node.consenting("ann") == {"ann"}
    node.logs.close()
    identity = node.log.directory / "log.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"node": "another"}))
    node.open_log()
    assert node.consenting("ann") == set()
    node.append(granted("bob", "a"))
    assert node.consenting("ann", "bob") == {"bob"}


def test_a_log_that_cannot_be_read_stops_everything(node):
    node.append(granted("ann", "a"))
    segment = node.segment()
    segment.rename(segment.with_suffix(".aside"))
    segment.mkdir()
    with pytest.raises(RetryError) as raised:
        node.consenting("ann")
    assert raised.value.reason == "ConsentUnreadable"
    segment.rmdir()
    segment.with_suffix(".aside").rename(segment)
    assert node.consenting("ann") == {"ann"}
