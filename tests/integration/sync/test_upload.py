"""The real process uploads real logs over real HTTP, and is killed."""

import json
import random

import pytest

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core import digest
from skerry_core.batch.key import parse_key, resend_key
from skerry_core.canonical import canonical_json
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.sync import resend
from tests.integration.sync.node import encoded
from tests.integration.sync.store import PREFIX
from tests.unit.delivery.worlds import POLICY, Release, assignment
from tests.unit.sync.logs import SITE, Log, batches_of, stored

RELEASE = Release("1.0.0", (b"model",))


@pytest.fixture
def log(node):
    log = Log(node.root)
    yield log
    log.close()


@pytest.fixture
def world(node, kube, store):
    kube.grant(encoded(store.grant()))
    return node


def epoch_of(log: Log, objects: dict[str, bytes]) -> list[tuple[str, int]]:
    """What the store has of one log: sync writes logs of its own too."""
    mine = {key: data for key, data in objects.items() if f"/{log.epoch}/" in key and "/events/" in key}
    return stored(mine)


def traffic(world, purpose: str) -> float:
    """Bytes both ways that the process says it used."""
    lines = [line for line in world.get("/metrics").splitlines() if line.startswith("skerry_sync_bytes_total")]
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if f'purpose="{purpose}"' in line)


def test_batches_carry_the_log(world, store, log):
    log.append(2500)
    world.start_here()
    world.wait("everything uploaded", lambda: epoch_of(log, store.objects) == log.appended)
    assert all(parse_key(SITE, key.removeprefix(PREFIX)) for key in store.objects)
    assert traffic(world, "ModelFeedback") > sum(map(len, store.objects.values()))
    assert traffic(world, "Local") > 0
    assert traffic(world, "Other") == 0


def test_killed_again_and_again_every_record_arrives(world, store, log):
    dice = random.Random(7)
    for _ in range(4):
        log.append(dice.randrange(500, 1500))
        before = len(epoch_of(log, store.objects))  # now: a batch may leave before the probe says ready
        world.start()
        world.wait("a batch", lambda before=before: len(epoch_of(log, store.objects)) > before)
        world.kill()
    world.start_here()
    world.wait("everything uploaded", lambda: set(epoch_of(log, store.objects)) >= set(log.appended))
    assert sorted(set(epoch_of(log, store.objects))) == sorted(log.appended)


def test_an_outage_is_waited_out_and_told_in_metrics(world, store, log):
    store.fault = "error"
    log.append(10)
    world.start_here()
    failed = 'skerry_sync_failures_total{loop="upload",reason="StoreUnavailable"}'
    world.wait("a failed upload", lambda: failed in world.get("/metrics"))
    assert store.objects == {}
    store.fault = None
    world.wait("everything uploaded", lambda: epoch_of(log, store.objects) == log.appended)


def test_a_page_in_place_of_the_store_releases_no_record(world, store, log):
    store.fault = "page"
    log.append(10)
    world.start_here()
    failed = 'reason="StoreAnswersWithPage"} 1.0'
    world.wait("a refused upload", lambda: failed in world.get("/metrics"))
    store.fault = None
    world.wait("everything uploaded", lambda: epoch_of(log, store.objects) == log.appended)


def test_what_the_hub_asks_for_again_is_sent_again(world, store, log, monkeypatch):
    monkeypatch.setattr(resend, "EVERY", 1.0)
    log.append(30)
    world.start_here()
    world.wait("everything uploaded", lambda: epoch_of(log, store.objects) == log.appended)
    name = next(batch.log for batch in batches_of(store.objects) if batch.log.epoch == log.epoch)
    for key in [key for key in store.objects if f"/{log.epoch}/" in key]:
        del store.objects[key]
    store.objects[PREFIX + resend_key(name, 11, 20)] = b""
    world.wait("sent again", lambda: epoch_of(log, store.objects) == log.appended[10:20])
    assert traffic(world, "Resend") > 0


def test_a_metered_link_holds_what_the_policy_holds_until_the_owner_says_otherwise(world, kube, store):
    tiers = tuple(
        tier.model_copy(update={"on_metered": OnMetered.HOLD}) if tier.tier is Tier.MODEL_FEEDBACK else tier
        for tier in DEFAULT_POLICY.tiers
    )
    policy = canonical_json(DEFAULT_POLICY.model_copy(update={"tiers": tiers}))
    store.blobs = {digest.of_bytes(POLICY): POLICY, digest.of_bytes(policy): policy, **RELEASE.blobs}
    document = assignment(RELEASE).model_copy(update={"sync_policy": digest.of_bytes(policy)})
    kube.assign(world.seal(document))
    kube.grant(encoded(store.grant()))
    feedback, critical = Log(world.root), Log(world.root, "rollbacks")
    link = world.root / "sync" / "link.json"
    link.parent.mkdir()
    link.write_text(json.dumps({"metered": True}))
    world.start_here()
    world.wait("the policy", lambda: world.has(digest.of_bytes(policy)))
    kept = world.root / "sync/policy.json"
    world.wait("the policy in force", kept.exists)
    feedback.append(10)
    critical.append(10)
    world.wait("what is critical", lambda: epoch_of(critical, store.objects) == critical.appended)
    world.wait(
        "the reason", lambda: 'skerry_sync_held{reason="Metered",tier="ModelFeedback"} 1.0' in world.get("/metrics")
    )
    assert epoch_of(feedback, store.objects) == []
    link.write_text(json.dumps({"metered": False}))
    world.wait("all the rest", lambda: epoch_of(feedback, store.objects) == feedback.appended)
    for each in (feedback, critical):
        each.close()
