"""A node that is new at a site: its features go on from what another node knows, through both nodes' sync."""

import json
import time
from datetime import timedelta

import pytest

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features import materializer
from skerry_edge.features.clock import Clock
from skerry_edge.features.engine import compiled
from skerry_edge.features.features import Features
from skerry_edge.features.materializer import Sources
from skerry_edge.features.needs import Needs
from skerry_edge.sync.neighbours import fetching
from tests.integration.sync.kube import NODES
from tests.integration.sync.node import Node
from tests.unit.features.sets import document, feature

DOCUMENT = canonical_json(document([feature("count", "Count", None, ttl="3h"), feature("sum", "Sum", ttl="3h")]))
DIGEST = digests.of_bytes(DOCUMENT)
MICROS = 1_000_000


class Machine:
    """A node's volume, sync on it in threads of this process, and inference's features beside that."""

    def __init__(self, folder, name, kube, inference, salt=b"s" * 32):
        folder.mkdir()
        self.node = Node(folder, kube.url, kube.credentials, inference, name)
        sync, state = self.node.root / "sync", self.node.root / "inference"
        sync.mkdir()
        (sync / "salt").write_bytes(salt)
        self.logs = EventLogs(state / "log", Owner("site-a", name, "boot"))
        self.stream = self.logs.open(StreamSettings("vibration", 1, timedelta(days=30), 1 << 30))
        self.sources = Sources(
            state / "log",
            1,
            lambda: Needs(frozenset([DIGEST]), certain=True),
            lambda _: DOCUMENT,
            compiled,
            node=name,
            neighbours=self.node.root / "store" / "neighbours",
        )
        self.features = None

    def start(self, ago=0):
        """`ago`: by how many seconds the features' clock is behind, so that they were begun then."""
        clock = Clock(lambda: time.time_ns() // 1000 - ago * MICROS)
        self.features = Features(self.node.root / "inference" / "features", self.sources, lambda: None, clock)
        self.features.start()
        self.node.start_here()

    def add(self, press, *values):
        at = time.time_ns() // 1000 - 60 * MICROS
        bodies = (json.dumps({"subject": press, "data": {"rms": rms}}).encode() for rms in values)
        self.stream.append([NewRecord(body, at, at) for body in bodies])

    def sum(self, press):
        reading = self.features.read(DIGEST, [press])
        return {value.name: value.value for value in reading.whole.values}["sum"]

    def stop(self):
        if self.features is not None:
            self.features.stop()
        self.node.stop()
        self.logs.close()


@pytest.fixture
def machine(tmp_path, kube, inference, monkeypatch):
    monkeypatch.setattr(materializer, "FIRST_SNAPSHOT_SECONDS", 0.5)
    monkeypatch.setattr(materializer, "SNAPSHOT_SECONDS", 0.5)
    monkeypatch.setattr(fetching, "PERIOD", timedelta(seconds=0.2))
    made = []

    def machine(name, **options):
        made.append(Machine(tmp_path / name, name, kube, inference, **options))
        return made[-1]

    yield machine
    for each in made:
        each.stop()


def offers(kube, name):
    return kube.objects.get(f"{NODES}/{name}", {}).get("status", {}).get("snapshots", ())


def test_a_new_nodes_features_go_on_from_anothers(machine, kube):
    old, new = machine("old"), machine("new")
    old.add("press-1", 1.0, 2.0)
    old.add("press-2", 4.0)
    old.start(ago=7200)
    old.node.wait("an offer", lambda: offers(kube, "old"))
    new.add("press-1", 8.0)
    new.start()
    new.node.wait("the other node's", lambda: new.sum("press-2") == 4.0)
    assert new.sum("press-1") == 11.0
    (course,) = new.features.courses()
    assert course.version.adopted.node == "old"
    assert course.version.adopted.snapshot in {each["digest"] for each in offers(kube, "old")}
    new.node.wait("nothing left", lambda: not list((new.node.root / "store" / "neighbours").iterdir()))
    assert 'skerry_sync_feature_snapshots_total{outcome="Fetched"} 1.0' in new.node.get("/metrics")
    assert 'skerry_sync_feature_snapshots_total{outcome="Sent"} 1.0' in old.node.get("/metrics")
    new.add("press-1", 16.0)
    new.node.wait("its own", lambda: new.sum("press-1") == 27.0)


def test_a_node_with_another_salt_gets_nothing(machine, kube):
    old, other = machine("old"), machine("other", salt=b"x" * 32)
    old.add("press-1", 1.0)
    old.start(ago=7200)
    old.node.wait("an offer", lambda: offers(kube, "old"))
    other.start()
    other.node.wait("refused", lambda: 'outcome="Failed"} 3.0' in other.node.get("/metrics"))
    assert other.sum("press-1") is None
