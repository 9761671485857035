"""The real process uploads a real prediction log over real HTTP, and is killed."""

import random

import pytest

from skerry_edge.events.segment import segment_firsts
from tests.integration.sync.node import encoded
from tests.integration.sync.store import PREFIX
from tests.unit.sync.logs import Log, records_of


@pytest.fixture
def log(node):
    log = Log(node.root)
    yield log
    log.close()


@pytest.fixture
def world(node, kube, store):
    kube.grant(encoded(store.grant()))
    return node


def stored(store) -> list[tuple[str, int]]:
    return [record for key in sorted(store.objects) for record in records_of(store.objects[key])]


def test_batches_carry_the_log_and_uploaded_segments_go(world, store, log):
    log.append(2500)
    newest = segment_firsts(world.root / "inference/log")[-1]
    world.start_here()
    world.wait("everything uploaded", lambda: stored(store) == log.appended)
    epoch = log.epoch
    assert sorted(store.objects) == [
        f"{PREFIX}events/node-1/{epoch}/{first:020d}-{last:020d}.jsonl.zst"
        for first, last in ((1, 1000), (1001, 2000), (2001, 2500))
    ]
    world.wait("closed segments gone", lambda: segment_firsts(world.root / "inference/log") == [newest])


def test_killed_again_and_again_every_record_arrives(world, store, log):
    dice = random.Random(7)
    for _ in range(5):
        log.append(dice.randrange(500, 1500))
        world.start()
        before = len(store.objects)
        world.wait("a batch", lambda before=before: len(store.objects) > before)
        world.kill()
    world.start_here()
    world.wait("everything uploaded", lambda: set(stored(store)) >= set(log.appended))
    assert sorted(set(stored(store))) == sorted(log.appended)


def test_an_outage_is_waited_out_and_told_in_metrics(world, store, log):
    store.fault = "error"
    log.append(10)
    world.start_here()
    failed = 'skerry_sync_failures_total{loop="upload",reason="StoreUnavailable"}'
    world.wait("a failed upload", lambda: failed in world.get("/metrics"))
    assert store.objects == {}
    store.fault = None
    world.wait("everything uploaded", lambda: stored(store) == log.appended)


def test_a_page_in_place_of_the_store_releases_no_record(world, store, log):
    store.fault = "page"
    log.append(10)
    world.start_here()
    failed = 'skerry_sync_failures_total{loop="upload",reason="StoreAnswersWithPage"}'
    world.wait("a refused upload", lambda: failed in world.get("/metrics"))
    store.fault = None
    world.wait("everything uploaded", lambda: stored(store) == log.appended)
