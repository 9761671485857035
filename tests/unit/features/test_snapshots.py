"""Snapshots: whole or not at all, and gone with what was withdrawn."""

import os
import threading
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core import digest as digests
from skerry_edge.events.follow import Place
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.features import snapshotter as snapshotting
from skerry_edge.features.materializer import FIRST_SNAPSHOT_SECONDS, SNAPSHOT_SECONDS, TELL_SECONDS, Standing
from skerry_edge.features.needed import Needed
from skerry_edge.features.note import EntityRecord, VersionNote
from skerry_edge.features.snapshots import EXPIRES, KEPT, Snapshots
from skerry_edge.features.store import LmdbStore
from tests.unit.features.fakes import FakeStore
from tests.unit.features.test_materializer import DIGESTS, ONE, Site, present
from tests.unit.features.test_version import values

DIGEST = DIGESTS[ONE]
RECORDS = st.builds(
    EntityRecord, st.binary(max_size=50), st.integers(0, 2**60), st.integers(-(2**60), 2**60), st.integers(0, 2**64 - 1)
)
STATES = st.dictionaries(st.binary(min_size=1, max_size=511), RECORDS, max_size=20)


def note(**position):
    return VersionNote(ONE, position, warm=True, data_class="health", withdrawn=Place("c", 3))


def write(snapshots, noted, entities):
    assert snapshots.write(DIGEST, noted, iter(sorted(entities.items())), snapshots.forgotten)
    return snapshots.of(DIGEST)[0]


@given(entities=STATES)
def test_what_is_read_is_what_was_written_and_the_same_state_is_the_same_file(tmp_path_factory, entities):
    folder = tmp_path_factory.mktemp("snapshots")
    snapshots = Snapshots(folder)
    snapshot = write(snapshots, note(e=7), entities)
    snapshot.verify(ONE)
    assert snapshot.note() == note(e=7)
    assert dict(snapshot.entities()) == entities
    assert write(snapshots, note(e=7), entities).path == snapshot.path
    assert len(snapshots.of(DIGEST)) == 1


def test_the_newest_stay_until_they_expire(tmp_path):
    snapshots = Snapshots(tmp_path)
    made = []
    for number in range(4):
        made.append(write(snapshots, note(e=number), {b"a": EntityRecord(b"", number, 0, 0)}).path.name)
        os.utime(tmp_path / made[-1], (number, number))
    assert [each.path.name for each in snapshots.of(DIGEST)] == made[: -KEPT - 1 : -1]
    snapshots.expire(EXPIRES.total_seconds() + 2.5)
    assert [each.path.name for each in snapshots.of(DIGEST)] == made[-1:]
    snapshots.forget([DIGEST])
    assert len(snapshots.of(DIGEST)) == 1
    snapshots.forget()
    assert list(tmp_path.iterdir()) == []


def test_one_that_was_begun_before_something_was_forgotten_is_not_kept(tmp_path):
    snapshots = Snapshots(tmp_path)

    def entities():
        yield b"a", EntityRecord(b"p7", 1, 0, 0)
        snapshots.forget()

    assert not snapshots.write(DIGEST, note(), entities(), snapshots.forgotten)
    assert list(tmp_path.iterdir()) == []


def test_what_a_kill_left_goes(tmp_path):
    for name in (".new.0123.tmp", "new"):
        (tmp_path / name).write_bytes(b"half")
    snapshot = write(Snapshots(tmp_path), note(), {})
    assert list(tmp_path.iterdir()) == [snapshot.path]


class Node(Site):
    """Whose store may be lost, and whose log may be freed."""

    def __init__(self, path):
        super().__init__(path, LmdbStore(path / "features"))
        self.told = []

    def lose(self, features):
        features.stop()
        self.store.close()
        for path in (self.path / "features" / "lmdb").iterdir():
            path.unlink()
        self.store = LmdbStore(self.path / "features")

    def free(self, until):
        folder = self.path / "log" / "vitals"
        firsts = segment_firsts(folder)
        for first, following in pairwise(firsts):
            if following <= until + 1:
                segment_path(folder, first).unlink()

    def snapshot(self, features, seconds=FIRST_SNAPSHOT_SECONDS):
        self.steady += seconds
        self.follow(features)
        features._snapshotter._thread.join()


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.store.close()
    node.logs.close()


def test_a_lost_store_goes_on_from_the_snapshot_though_the_log_was_freed(node):
    node.add(*(("a", 1) for _ in range(500)))
    features = node.start()
    node.follow(features)
    node.snapshot(features)
    node.add(*(("a", 1) for _ in range(300)))
    for _ in range(2):
        node.steady += TELL_SECONDS + 1
        node.follow(features)
    needed = features._courses[DIGEST].needed
    assert needed == Needed(Place(node.stream.epoch, 500)), "what came since the snapshot must stay"
    node.free(needed.place.seq)
    assert segment_firsts(node.path / "log" / "vitals")[0] > 1
    node.lose(features)
    features = node.start()
    node.follow(features)
    assert features.standing(DIGEST)[0] is Standing.WARM
    assert values(features.find(DIGEST).read(["a"])) == present(800, 800)
    node.lose(features)
    for path in (node.path / "features" / "snapshots").iterdir():
        path.unlink()
    features = node.start()
    node.follow(features)
    assert values(features.find(DIGEST).read(["a"])) != present(800, 800), "without it that is lost"


@pytest.mark.parametrize("how", ["flipped", "cut", "renamed", "empty", "of another document"])
def test_a_damaged_snapshot_is_not_restored(node, how):
    node.add(("a", 1))
    features = node.start()
    node.follow(features)
    node.snapshot(features)
    (path,) = (node.path / "features" / "snapshots").iterdir()
    data = bytearray(path.read_bytes())
    if how == "of another document":
        other = Snapshots(path.parent)
        write(other, VersionNote(b"another"), {b"a": EntityRecord(b"[5, 5, 5]", 1, 0, 0)})
    elif how == "renamed":
        path.rename(path.with_name(f"{digests.hex_of(DIGEST)}.{'0' * 64}"))
    else:
        data[len(data) // 2] ^= 1
        changed = bytes(data) if how == "flipped" else bytes(data[:-9]) if how == "cut" else b""
        path.write_bytes(changed)
        path.rename(path.with_name(f"{digests.hex_of(DIGEST)}.{digests.hex_of(digests.of_bytes(changed))}"))
    node.lose(features)
    features = node.start()
    node.follow(features)
    assert values(features.find(DIGEST).read(["a"])) == present(1, 1)
    assert len(list(path.parent.iterdir())) == (1 if how == "of another document" else 0)


def test_the_next_one_is_made_once_there_is_news(node):
    node.add(("a", 1))
    features = node.start()
    node.follow(features)
    folder = node.path / "features" / "snapshots"
    node.snapshot(features)
    first = set(folder.iterdir())
    node.snapshot(features, SNAPSHOT_SECONDS)
    assert set(folder.iterdir()) == first
    node.add(("b", 1))
    node.steady += 2
    node.follow(features)
    node.snapshot(features, SNAPSHOT_SECONDS)
    assert len(set(folder.iterdir())) == 2


def test_a_full_volume_gets_none(node, monkeypatch):
    node.add(("a", 1))
    features = node.start()
    node.follow(features)
    monkeypatch.setattr(Snapshots, "have_room", lambda _: False)
    node.snapshot(features)
    assert not (node.path / "features" / "snapshots").exists()


def test_a_run_that_is_stopped_keeps_nothing(tmp_path):
    store, snapshots = FakeStore(), Snapshots(tmp_path)
    store.load(DIGEST, note(), {b"a": EntityRecord(b"", 1, 0, 0)}.items)
    made = snapshotting.Snapshotter(store, snapshots)
    made._stopping = threading.Event()
    made._stopping.set()
    made.start([DIGEST, "sha256:" + "0" * 64], 0.0)
    made.stop()
    assert list(tmp_path.iterdir()) == []
