"""From one node's folder to another's over HTTP: whole and verified, or not at all, and what goes wrong."""

import os
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.runtimenode import RuntimeNodeStatus
from skerry_core import digest as digests
from skerry_edge.features.note import EntityRecord, VersionNote
from skerry_edge.features.snapshots import Snapshots
from skerry_edge.features.sought import write_sought
from skerry_edge.sync.health import HealthServer
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.neighbours import fetching
from skerry_edge.sync.neighbours.fetching import TAKEN, Neighbours
from skerry_edge.sync.neighbours.offers import Offers, file_name
from skerry_edge.sync.steady import Steady
from skerry_edge.sync.traffic import NEIGHBOURS, Traffic

DOCUMENT = b'{"stream": "vibration"}'
VERSION = digests.of_bytes(DOCUMENT)
KEY = b"k" * 32
MICROS = 1_000_000


class Node:
    """Sync's parts that exchange snapshots, on a volume of their own."""

    def __init__(self, folder, name, key=KEY):
        self.layout, self.name = Layout(folder / name), name
        for path in (self.layout.features, self.layout.neighbours):
            path.mkdir(parents=True)
        self.registry = CollectorRegistry()
        self.outcomes = Counter("snapshots", "Snapshots.", ["outcome"], registry=self.registry)
        steady = lambda noted: Steady("boot", time.monotonic, time.time, noted)  # noqa: E731
        self.traffic = Traffic(self.layout.traffic, steady, self.registry)
        self.offers = Offers(self.layout.features, key, self.traffic, self.outcomes)
        self.server = HealthServer(("127.0.0.1", 0), self.registry, self.offers.sealed)
        self.server.start()
        self.objects, self.key = [], key
        self.neighbours = self.restarted()

    def restarted(self):
        return Neighbours(
            self.layout,
            self,
            self.traffic,
            self.outcomes,
            site="site-a",
            node=self.name,
            key=self.key,
        )

    def nodes(self):
        """As the site's API server."""
        return self.objects

    def seek(self, begun=None):
        now = time.time()
        write_sought(self.layout.features, {VERSION: int((now if begun is None else begun) * MICROS)})

    def make(self, entities=1):
        now = time.time()
        note = VersionNote(
            DOCUMENT, {"e": 5}, begun=int((now - 7200) * MICROS), made_by=self.name, made=int((now - 60) * MICROS)
        )
        records = ((b"%06d" % number, EntityRecord(os.urandom(64), 1, 1, 1)) for number in range(entities))
        snapshots = Snapshots(self.layout.features / "snapshots")
        assert snapshots.write(VERSION, note, records, 0)
        return snapshots.of(VERSION)[0].path

    def told(self, **changes):
        """The RuntimeNode that it writes."""
        address = f"127.0.0.1:{self.server.server_address[1]}"
        snapshots = tuple(each.model_copy(update=changes) for each in self.offers.current(datetime.now(UTC)))
        status = RuntimeNodeStatus(site="site-a", address=address, snapshots=snapshots)
        return {"metadata": {"name": self.name}, "status": status.to_wire()}

    def files(self):
        return sorted(path.name for path in self.layout.neighbours.iterdir())

    def sample(self, name, **labels):
        return self.registry.get_sample_value(name, labels)


@pytest.fixture
def nodes(tmp_path):
    made = []

    def node(name, **options):
        made.append(Node(tmp_path, name, **options))
        return made[-1]

    yield node
    for each in made:
        each.server.stop()


@pytest.mark.slow
@pytest.mark.parametrize("entities", [0, 1, 5000])
def test_what_is_sought_is_fetched_once_and_counted(nodes, entities):
    old, new = nodes("old"), nodes("new")
    path = old.make(entities)
    new.objects = [old.told()]
    new.neighbours.step()
    assert new.files() == [], "nobody seeks it"
    new.seek()
    new.neighbours.step()
    assert new.files() == [path.name]
    assert (new.layout.neighbours / path.name).read_bytes() == path.read_bytes()
    received = new.sample("skerry_sync_bytes_total", purpose=NEIGHBOURS, direction="received")
    assert received > path.stat().st_size
    assert old.sample("skerry_sync_bytes_total", purpose=NEIGHBOURS, direction="sent") > path.stat().st_size
    new.neighbours.step()
    assert new.sample("snapshots_total", outcome="Fetched") == 1
    write_sought(new.layout.features, {})
    new.neighbours.step()
    assert new.files() == [], "it was taken over"


@pytest.mark.slow
@pytest.mark.parametrize("how", ["digest", "size", "gone", "salt", "damaged", "no room", "nobody listens"])
def test_what_goes_wrong_leaves_nothing(nodes, monkeypatch, how):
    old, new = nodes("old"), nodes("new", **({"key": b"x" * 32} if how == "salt" else {}))
    path = old.make(2000)
    new.seek()
    new.objects = [old.told()]
    if how == "digest":
        # What the API server says, not what the other node calls the file.
        claimed = file_name(old.offers.current(datetime.now(UTC))[0]).replace(path.name[-4:], "0000")
        path = path.rename(path.with_name(claimed))
        new.objects = [old.told()]
    elif how == "size":
        new.objects = [old.told(size=path.stat().st_size - 1)]
    elif how == "gone":
        path.unlink()
    elif how == "damaged":
        data = bytearray(path.read_bytes())
        data[-10] ^= 1
        path.write_bytes(bytes(data))
    elif how == "no room":
        monkeypatch.setattr(fetching.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(100 << 20, 0, 1 << 20))
    elif how == "nobody listens":
        old.server.stop()
        new.objects[0]["status"]["address"] = "127.0.0.1:9"
    for _ in range(5):
        new.neighbours.step()
    assert new.files() == []
    assert new.sample("snapshots_total", outcome="Failed") == 3, "it isn't tried for ever"


@pytest.mark.slow
def test_another_nodes_does_if_the_first_fails(nodes):
    large, small, new = nodes("large"), nodes("small"), nodes("new")
    large.make(100)
    path = small.make(1)
    new.seek()
    new.objects = [large.told(), small.told()]
    large.server.sealed = lambda _: None
    new.neighbours.step()
    assert new.files() == [path.name]


@pytest.mark.slow
def test_what_inference_refuses_goes_and_does_not_come_again(nodes):
    old, new = nodes("old"), nodes("new")
    path = old.make()
    new.seek()
    new.objects = [old.told()]
    new.neighbours.step()
    before = time.time() - TAKEN.total_seconds() - 1
    os.utime(new.layout.neighbours / path.name, (before, before))
    for _ in range(2):
        new.neighbours.step()
        assert new.files() == []


@pytest.mark.slow
def test_a_transfer_ends_in_time(nodes, monkeypatch):
    old, new = nodes("old"), nodes("new")
    old.make(5000)
    new.seek()
    new.objects = [old.told()]
    monkeypatch.setattr(fetching, "MAX_SECONDS", -1.0)
    new.neighbours.step()
    assert new.files() == []


@pytest.mark.slow
def test_a_file_that_is_none_is_not_offered(nodes):
    old = nodes("old")
    path = old.make()
    for name in ("new", ".new.0123.tmp", "a" * 64, "a" * 64 + "." + "b" * 64):
        (path.parent / name).write_bytes(b"half")
    assert [file_name(each) for each in old.offers.current(datetime.now(UTC))] == [path.name]
    assert old.offers.sealed("../" + path.name) is None
    assert old.offers.current(datetime.now(UTC) + timedelta(days=3)) == ()
    shutil.rmtree(path.parent)
    assert old.offers.current(datetime.now(UTC)) == ()
