"""Sync downloads over real HTTP, whatever the store, the network and the power do meanwhile."""

import json
import random

import pytest

from skerry_core import digest
from skerry_edge.delivery import delivery
from skerry_edge.inference.activation.state import Kept
from skerry_edge.inference.kept import KeptFiles
from tests.integration.sync.node import encoded
from tests.unit.delivery.worlds import POLICY, Release, assignment

MODEL = random.Random(3).randbytes(3_000_000)
MODEL_DIGEST = digest.of_bytes(MODEL)
OLD, NEW = Release("1.0.0", (b"old model",)), Release("1.1.0", (MODEL, b"labels"))
POLICY_DIGEST = digest.of_bytes(POLICY)


@pytest.fixture
def world(node, kube, store):
    """The new release is assigned, the old one approved; sync has not been started."""
    store.blobs = {POLICY_DIGEST: POLICY, **OLD.blobs, **NEW.blobs}
    kube.assign(node.seal(assignment(NEW, OLD)))
    kube.grant(encoded(store.grant()))
    return node


def test_brings_everything_and_tells_that_nothing_is_missing(world, store):
    world.start_here()
    world.wait("all blobs", lambda: world.has(*store.blobs))
    world.wait("nothing missing", lambda: (world.root / "store/downloads.json").read_bytes() == b"[]")
    path = world.root / "store/blobs/sha256" / MODEL_DIGEST.removeprefix("sha256:")
    assert path.read_bytes() == MODEL
    assert "skerry_sync_blobs_missing 0.0" in world.get("/metrics")


def test_goes_on_where_it_was_killed(world, store):
    store.pause = 0.001
    world.start()
    world.wait("a part of the model", lambda: world.partial(MODEL_DIGEST) > 200_000)
    world.kill()
    received = world.partial(MODEL_DIGEST)
    store.pause = 0.0
    world.start()
    world.wait("all blobs", lambda: world.has(*store.blobs))
    assert store.ranges[-2:] == [f"bytes={received}-", ""]


def test_a_body_that_breaks_off_is_continued(world, store):
    store.cut_after = 1_000_000
    world.start_here()
    world.wait("all blobs", lambda: world.has(*store.blobs))
    ranges = [asked for asked in store.ranges if asked]
    assert len(ranges) >= 2
    assert store.sent < 2 * sum(map(len, store.blobs.values()))


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("page", "StoreAnswersWithPage"),
        ("forbidden", "GrantRefused"),
        ("error", "StoreUnavailable"),
        ("wrong bytes", "DigestMismatch"),
    ],
)
def test_a_fault_is_told_with_its_reason_and_heals_without_a_restart(world, store, kube, fault, reason):
    store.fault = fault
    world.start_here()
    world.wait(reason, lambda: world.downloads().get(POLICY_DIGEST) == reason)
    world.wait(f"RuntimeNode tells {reason}", lambda: reason in kube.reasons("node-1"))
    assert not world.has(POLICY_DIGEST)
    store.fault = None
    kube.grant(encoded(store.grant()))
    world.wait("all blobs", lambda: world.has(*store.blobs))


def test_damage_that_inference_finds_is_mended_without_a_restart(world, store, monkeypatch):
    monkeypatch.setattr(delivery, "RECHECK_SECONDS", 0.0)
    world.start_here()
    world.wait("all blobs", lambda: world.has(*store.blobs))
    path = world.root / "store/blobs/sha256" / MODEL_DIGEST.removeprefix("sha256:")
    path.write_bytes(MODEL[1:])
    stalled = {"namespace": "demo", "model": "har", "phase": "Stalled", "reason": "DigestMismatch"}
    world.inference.status = world.inference.status | {"models": [stalled]}
    world.wait("the model's own bytes", lambda: path.exists() and path.read_bytes() == MODEL)


def test_without_a_grant_it_waits_for_one(world, store, kube):
    kube.delete("/api/v1/namespaces/skerry-runtime/secrets/store-grant")
    world.start_here()
    world.wait("GrantMissing", lambda: world.downloads().get(POLICY_DIGEST) == "GrantMissing")
    kube.grant(encoded(store.grant()))
    world.wait("all blobs", lambda: world.has(*store.blobs))


def test_a_slow_download_yields_to_a_newer_assignment(world, store, kube):
    store.pause = 0.05
    world.start_here()
    world.wait("a part of the model", lambda: world.partial(MODEL_DIGEST) > 2000)
    kube.assign(world.seal(assignment(OLD, serial=(1, 2))))
    world.wait("the unwanted part gone", lambda: world.partial(MODEL_DIGEST) == 0)
    assert not world.has(MODEL_DIGEST)
    assert world.has(*OLD.blobs)


def test_ready_and_complete_with_neither_api_server_nor_store(world, store, kube):
    world.start_here()
    world.wait("all blobs", lambda: world.has(*store.blobs))
    world.stop()
    kube.stop()
    store.fault = "error"
    world.start_here()
    world.wait("ready", world.is_ready)
    world.wait("nothing missing", lambda: world.downloads() == {})
    assert "skerry_sync_blobs_missing 0.0" in world.get("/metrics")


def test_downloads_go_on_without_the_api_server(world, store, kube):
    store.pause = 0.0005
    world.start_here()
    world.wait("a part of the model", lambda: world.partial(MODEL_DIGEST) > 0)
    kube.stop()
    world.wait("all blobs", lambda: world.has(*store.blobs))


def test_the_champion_stays_when_a_quarantine_and_an_assignment_leave_it_behind(world, store, kube):
    world.start_here()
    world.wait("all blobs", lambda: world.has(*store.blobs))
    KeptFiles(world.root / "inference/activation").write(
        Kept(namespace="demo", model="har", served_name="har", champion=OLD.ref)
    )
    kube.assign(world.seal(assignment(NEW, serial=(1, 2))), quarantined=(OLD.ref.digest,))
    world.wait("restricted", (world.root / "store/restrictions.json").exists)
    world.wait("accepted", lambda: b"envelope" in (world.root / "store/assignment.json").read_bytes())
    assert world.has(*OLD.blobs)
    restricted = json.loads((world.root / "store/restrictions.json").read_bytes())
    assert restricted == {"quarantined": {"demo/har": [OLD.ref.digest]}}
