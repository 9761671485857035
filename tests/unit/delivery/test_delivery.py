"""Delivery on a real folder, with a source whose faults a test sets."""

import errno
import json
import os
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from skerry_core import digest
from skerry_core.errors import WaitError
from skerry_edge.delivery import delivery as module
from skerry_edge.delivery.activation import Activation
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.delivery import IDLE, RECHECK_SECONDS, Delivery, Demand
from skerry_edge.delivery.fetch import WHOLE, Turn
from skerry_edge.delivery.gc import UNUSED_FOR
from skerry_edge.sync.schedule.plan import Held, HeldReason
from tests.unit.delivery.worlds import POLICY, Release, assignment

OLD, NEW = Release("1.0.0", (b"old model",)), Release("1.1.0", (b"new model", b"labels"))
POLICY_DIGEST = digest.of_bytes(POLICY)


class World:
    """A node's folder, what it is told, and a store by digest; `faults` are raised instead of bytes."""

    def __init__(self, folder):
        self.folder = folder
        self.blobs = BlobFolder(folder / "blobs")
        self.demand = Demand(assignment(NEW, OLD), frozenset(), Activation())
        self.store = {POLICY_DIGEST: POLICY, **OLD.blobs, **NEW.blobs}
        self.faults = {}
        self.asked = []
        self.time = 0.0
        self.held = None
        self.turn = WHOLE
        self.wishes = []
        self.restart()

    def restart(self):
        self.registry = CollectorRegistry()
        self.delivery = Delivery(
            self.blobs, self.folder / "downloads.json", lambda: self.demand, self.source, self.gate, lambda: False,
            self.registry, lambda: self.time,
        )  # fmt: skip

    def source(self, wanted, start, _limit, end):
        self.asked.append(wanted)
        if wanted in self.faults:
            raise self.faults[wanted]
        yield self.store[wanted][start:end]

    def gate(self, wish, policy, fetch):
        self.wishes.append((wish, policy))
        if self.held is not None and not wish.essential:
            return self.held
        return fetch(self.turn)

    def settle(self):
        """Step until there is nothing to do at once; the pause then asked for."""
        for _ in range(50):
            pause = self.delivery.step()
            if pause:
                return pause
        raise AssertionError("delivery never rests")

    @property
    def present(self):
        return {blob.digest for blob in self.blobs.survey().blobs}

    @property
    def told(self):
        return {item["digest"]: item["reason"] for item in json.loads((self.folder / "downloads.json").read_bytes())}

    def age(self, wanted):
        old = (datetime.now(UTC) - UNUSED_FOR - timedelta(days=1)).timestamp()
        os.utime(self.blobs.path(wanted), (old, old))


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_brings_everything_in_order_and_then_rests(world):
    assert world.settle() == IDLE
    assert world.asked == [POLICY_DIGEST, *OLD.blobs, *NEW.blobs]
    assert world.present == set(world.store)
    assert world.told == {}


def test_goes_on_where_the_last_process_stopped(world):
    for _ in range(3):
        world.delivery.step()
    world.restart()
    world.settle()
    assert len(world.asked) == len(set(world.asked)) == len(world.store)


def test_without_an_assignment_nothing_is_fetched_and_nothing_deleted(world):
    world.settle()
    for blob in world.present:
        world.age(blob)
    world.demand = Demand(None, frozenset(), Activation())
    assert world.settle() == IDLE
    assert world.present == set(world.store)


def test_a_failing_blob_is_told_with_its_reason_and_holds_up_none(world):
    world.faults[OLD.ref.signature] = WaitError("ObjectMissing", "the store has no such blob")
    assert timedelta() < world.settle() < timedelta(seconds=1)
    assert world.told == {OLD.ref.signature: "ObjectMissing"}
    assert world.present == set(world.store) - {OLD.ref.signature}


def test_heals_as_soon_as_it_is_told_to_retry(world):
    world.faults = dict.fromkeys(world.store, WaitError("StoreUnavailable", "can't be reached"))
    world.settle()
    assert world.told[POLICY_DIGEST] == "StoreUnavailable"
    world.faults = {}
    world.delivery.retry_now()
    assert world.settle() == IDLE
    assert world.told == {}


def test_a_new_assignment_leaves_old_blobs_until_they_are_old(world):
    world.settle()
    world.demand = Demand(
        assignment(NEW, serial=(1, 2)), frozenset(), Activation((NEW.ref,), {"demo/har": NEW.ref.digest})
    )
    world.settle()
    assert world.present == set(world.store)
    for blob in OLD.blobs:
        world.age(blob)
    world.settle()
    assert world.present == set(world.store) - set(OLD.blobs)


def test_old_blobs_of_what_inference_may_go_back_to_stay(world):
    world.settle()
    world.demand = Demand(assignment(NEW, serial=(1, 2)), frozenset(), Activation((NEW.ref, OLD.ref)))
    for blob in world.present:
        world.age(blob)
    world.settle()
    assert world.present == set(world.store)


def test_a_manifest_that_is_none_names_no_files_and_stops_nothing_else(world):
    junk = b"not a manifest"
    ref = NEW.ref.model_copy(update={"digest": digest.of_bytes(junk)})
    document = assignment(NEW, OLD)
    model = document.models[0].model_copy(update={"target": ref})
    world.demand = Demand(document.model_copy(update={"models": (model,)}), frozenset(), Activation())
    world.store[ref.digest] = junk
    assert world.settle() == IDLE
    assert world.present == {POLICY_DIGEST, *OLD.blobs, ref.digest, ref.signature}


def test_a_blob_that_the_disk_has_damaged_is_found_at_the_next_start_and_fetched_again(world):
    world.settle()
    (model,) = OLD.files
    path = world.blobs.path(digest.of_bytes(model))
    path.write_bytes(b"rotten")
    world.restart()
    world.settle()
    assert path.read_bytes() == model
    assert world.registry.get_sample_value("skerry_sync_blobs_damaged_total") == 1


def test_what_comes_damaged_is_counted_with_its_retry(world):
    (model,) = OLD.files
    world.store[digest.of_bytes(model)] = bytes(len(model))
    for _ in range(20):
        world.delivery.step()
    assert world.registry.get_sample_value("skerry_sync_blobs_damaged_total") == 1
    assert world.registry.get_sample_value("skerry_sync_download_retries_total", {"reason": "DigestMismatch"}) == 1


def test_damage_that_inference_finds_is_mended_without_a_restart(world):
    world.settle()
    (model,) = OLD.files
    path = world.blobs.path(digest.of_bytes(model))
    path.write_bytes(b"rotten")
    world.time += RECHECK_SECONDS
    assert world.delivery.doubt()
    world.settle()
    assert path.read_bytes() == model


def test_doubts_do_not_keep_the_disk_busy(world):
    assert not world.delivery.doubt()
    world.settle()
    assert not world.delivery.doubt()
    world.time += RECHECK_SECONDS
    assert world.delivery.doubt()
    assert not world.delivery.doubt()


def test_a_disk_that_takes_no_byte_is_still_cleaned_up(world, monkeypatch):
    world.settle()
    world.demand = Demand(
        assignment(NEW, serial=(1, 2)), frozenset(), Activation((NEW.ref,), {"demo/har": NEW.ref.digest})
    )
    for blob in OLD.blobs:
        world.age(blob)
    lost = digest.of_bytes(NEW.files[0])
    world.blobs.delete(lost)
    world.faults[lost] = WaitError("StoreUnavailable", "can't be reached")

    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "write_file", full)
        world.settle()
    assert world.present == set(world.store) - set(OLD.blobs) - {lost}
    assert [item.digest for item in world.delivery.pending] == [lost]
    assert world.told == {}
    world.settle()
    assert world.told == {lost: "StoreUnavailable"}


HELD = Held("Downloads", None, HeldReason.METERED, "held while the link is metered", None)


def test_what_a_budget_holds_is_told_with_its_reason_and_comes_when_it_may(world):
    world.demand = Demand(assignment(NEW, OLD), frozenset(), Activation((OLD.ref,), {"demo/har": OLD.ref.digest}))
    world.held = HELD
    assert world.settle() == IDLE
    assert set(world.told.values()) == {"Metered"}
    assert world.present == {POLICY_DIGEST}, "a revocation comes with the policy, whatever it costs"
    world.held = None
    assert world.settle() == IDLE
    assert world.told == {}
    assert world.present == set(world.store)


def test_what_waits_for_its_budget_is_looked_at_again_in_time(world):
    world.settle()
    lost = digest.of_bytes(NEW.files[0])
    world.blobs.delete(lost)
    world.held = Held("Downloads", None, HeldReason.BUDGET_USED, "", 7.0)
    assert world.delivery.step() == timedelta(seconds=7)


def test_what_the_node_cannot_serve_without_comes_before_all_else_and_is_held_by_nothing(world):
    world.held = HELD
    world.settle()
    assert world.present == {POLICY_DIGEST, *OLD.blobs}
    assert [wish.digest for wish, _ in world.wishes if not wish.essential] != []
    assert [policy for wish, policy in world.wishes if wish.digest == POLICY_DIGEST] == [True]


def test_a_download_in_pieces_is_whole_in_the_end(world):
    world.turn = Turn(3)
    for _ in range(500):
        if world.delivery.step():
            break
    assert world.present == set(world.store)
