"""Who withdraws was never in a rollup that is open, and is in none that waits for the link."""

import base64

import pytest

from skerry_api.v1alpha1.syncpolicy import Consent
from skerry_core.rollups.state import encode
from skerry_edge.events.settings import LogFailedError
from skerry_edge.sync.outbound.rollups.loop import NOTE_EVERY
from skerry_edge.sync.outbound.rollups.unsent import Entry, taken_back, waiting
from skerry_edge.sync.positions import Sent
from tests.unit.sync_outbound.nodes import NOW, micros
from tests.unit.sync_outbound.rollup_node import Node, failing, state
from tests.unit.sync_outbound.test_consent import granted, withdrawn


@pytest.fixture
def careful(tmp_path):
    """A node whose stream needs consent; Ann and Bob give it."""
    node = Node(tmp_path, Consent.REQUIRED)
    node.pass_time()
    node.append(granted("ann", "personal"), granted("bob", "personal"), name="consent")
    yield node
    node.close()


def test_who_does_not_consent_is_not_in_it(careful):
    careful.append({"v": 1}, subject="ann")
    careful.append({"v": 9}, subject="eve")
    careful.append({"v": 9})
    careful.pass_time(minutes=2)
    assert [(one["count"], one["max"]) for one in careful.told] == [(1, 1)]


@pytest.mark.parametrize("restarted", [False, True])
def test_who_withdraws_was_never_in_it(careful, restarted):
    careful.append({"v": 1}, {"v": 2}, subject="ann")
    careful.append({"v": 100}, {"w": 1}, subject="bob")
    careful.pass_time(seconds=NOTE_EVERY.seconds - 1)
    careful.append(withdrawn("bob", "personal"), name="consent")
    if restarted:
        careful.start()
    careful.pass_time(seconds=1)
    note = (careful.root / "rollups.note").read_bytes()
    assert encode(state(100, times=[micros(NOW)])) not in note
    careful.pass_time(minutes=2)
    told = {one["path"]: one["state"] for one in careful.told}
    assert told == {"v": base64.b64encode(encode(state(1, 2, times=[micros(NOW)] * 2))).decode()}


def test_a_new_grant_brings_nothing_back(careful):
    careful.append({"v": 100}, subject="bob")
    careful.pass_time(seconds=1)
    careful.append(withdrawn("bob", "personal"), granted("bob", "personal"), name="consent")
    careful.append({"v": 7}, subject="bob")
    careful.pass_time(minutes=2)
    assert [(one["count"], one["max"]) for one in careful.told] == [(1, 7)]


def test_who_withdraws_while_windows_could_not_be_told_is_not_told_of(careful, monkeypatch):
    careful.append({"v": 1}, subject="ann")
    careful.append({"v": 100}, subject="bob")
    with monkeypatch.context() as patch:
        patch.setattr(careful.log, "append", failing)
        with pytest.raises(LogFailedError):
            careful.pass_time(minutes=2)
    careful.append(withdrawn("bob", "personal"), name="consent")
    careful.start()
    careful.pass_time()
    assert [(one["count"], one["max"]) for one in careful.told] == [(1, 1)]


@pytest.mark.parametrize("dies", [None, "after the append", "after the note"])
def test_who_withdraws_is_not_in_what_waits_for_the_link(careful, dies):
    careful.append({"v": 100}, subject="bob")
    careful.pass_time(minutes=2)
    careful.append({"v": 1}, subject="ann")
    careful.pass_time(minutes=2)
    if dies == "after the note":
        careful.pass_time(seconds=NOTE_EVERY.seconds)
    assert [one["max"] for one in careful.told] == [100, 1]
    careful.append(withdrawn("bob", "personal"), name="consent")
    if dies is not None:
        careful.start()
    careful.pass_time(seconds=1)
    assert [one["max"] for one in careful.told] == [1]
    assert careful.registry.get_sample_value("skerry_sync_rollups_withdrawn_total") == 1
    careful.start()
    careful.pass_time(minutes=2)
    assert [one["max"] for one in careful.told] == [1]


def test_what_the_store_has_is_not_taken_back(careful):
    careful.append({"v": 100}, subject="bob")
    careful.pass_time(minutes=2)
    careful.sent = Sent(1)
    careful.pass_time(seconds=1)
    careful.append(withdrawn("bob", "personal"), name="consent")
    careful.pass_time(minutes=2)
    assert [one["max"] for one in careful.told] == [100]


def entry(last, *entities):
    return Entry("personal", last - 1, last, (str(last),), dict.fromkeys(entities, last))


def test_what_is_taken_back():
    entries = (entry(1, "ann"), entry(2, "ann", "bob"), entry(3, "eve"))
    assert waiting(entries, Sent(2)) == entries[2:]
    assert waiting(entries, Sent()) == entries
    gone, kept = taken_back(entries, lambda entity, data_class, since: (entity, data_class) != ("bob", "personal"))
    assert (gone, kept) == (entries[1:2], (entries[0], entries[2]))
    assert taken_back(entries, lambda *_: True, room=3) == (entries[:1], entries[1:])
