"""Snapshots of another node: whether one may be taken over, and that every event counts once whatever happens."""

import json
import random
import shutil
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.features.read import FeatureStatus
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.adopter import SEEK_SECONDS
from skerry_edge.features.adoption import AHEAD, MAX_EPOCHS, OLDER, adopting, unfit
from skerry_edge.features.engine import compiled
from skerry_edge.features.feed import YOUNG
from skerry_edge.features.materializer import FIRST_SNAPSHOT_SECONDS, Materializer, Sources, Standing
from skerry_edge.features.needs import Needs
from skerry_edge.features.note import Adopted, EntityRecord, VersionNote
from skerry_edge.features.ports import StoreFullError
from skerry_edge.features.snapshots import EXPIRES, Snapshot, Snapshots
from skerry_edge.features.store import LmdbStore
from tests.unit.features.sets import document, feature
from tests.unit.features.test_version import SECOND, Node, T

HOUR = 3600 * SECOND
FEATURES = [
    feature(name, name.title(), None if name == "count" else "rms", ttl="3h") for name in ("count", "sum", "last")
]
WINDOW = {"kind": "Rolling", "size": "6h", "pane": "1h"}
DOCUMENT = canonical_json(document([each | {"window": WINDOW} for each in FEATURES]))
DIGEST = digests.of_bytes(DOCUMENT)

FOUND = VersionNote(DOCUMENT, {"a": 7}, warm=True, begun=T - 3 * HOUR, made_by="node-a", made=T - HOUR)
MICROSECOND = timedelta(microseconds=1)


def changed(**fields):
    return VersionNote(**{name: getattr(FOUND, name) for name in FOUND.__struct_fields__} | fields)


@pytest.mark.parametrize(
    ("found", "begun", "own", "word"),
    [
        (FOUND, T, {"b"}, ""),
        (FOUND, FOUND.begun + OLDER // MICROSECOND, {"b"}, ""),
        (changed(document=b"other"), T, {"b"}, "document"),
        (changed(made=0), T, {"b"}, "who made it"),
        (changed(made_by=""), T, {"b"}, "who made it"),
        (changed(made=T + AHEAD // MICROSECOND), T, {"b"}, ""),
        (changed(made=T + AHEAD // MICROSECOND + 1), T, {"b"}, "clock"),
        (changed(made=T - EXPIRES // MICROSECOND), T, {"b"}, "expired"),
        (changed(made=T - EXPIRES // MICROSECOND + 1), T, {"b"}, ""),
        (FOUND, FOUND.begun + OLDER // MICROSECOND - 1, {"b"}, "longer"),
        (FOUND, T, {"a"}, "own logs"),
        (changed(adopted=Adopted("node-c", "sha256:0", 1, ("b",))), T, {"b"}, "own logs"),
        (changed(position={str(number): 1 for number in range(MAX_EPOCHS + 1)}), T, {"b"}, "many logs"),
    ],
)
def test_whether_a_snapshot_may_be_taken_over(found, begun, own, word):
    why = unfit(found, DOCUMENT, begun, frozenset(own), T)
    assert bool(why) == bool(word)
    assert word in why


def test_the_note_afterwards_keeps_its_own_position_and_names_all_logs():
    mine = VersionNote(DOCUMENT, {"b": 3}, warm=True, begun=T, seeks=True)
    other = changed(adopted=Adopted("node-c", "sha256:0", 1, ("c",)))
    after = adopting(mine, other, "sha256:1")
    assert (after.position, after.begun, after.seeks, after.warm) == ({"b": 3}, T, False, True)
    assert after.adopted == Adopted("node-a", "sha256:1", FOUND.made, ("a", "c"))
    assert after.epochs == {"a", "b", "c"}


class Machine:
    """A node: its logs, its store of features, and what sync put there of others."""

    def __init__(self, path, name, clock):
        self.path, self.name, self.node, self.steady = path, name, clock, 0.0
        self.neighbours = path / "neighbours"
        self.neighbours.mkdir(parents=True)
        self.sought = None
        owner = Owner("site-a", name, f"boot of {name}")
        self.logs = EventLogs(path / "log", owner, segment_bytes=4000, wall=lambda: self.node.wall * 1000)
        self.stream = self.logs.open(StreamSettings("vibration", 1, timedelta(days=30), 1 << 30))
        self.store = LmdbStore(path / "features")

    def start(self):
        sources = Sources(
            self.path / "log",
            hash(self.name) % 1000 + 1,
            lambda: Needs(frozenset([DIGEST]), certain=True),
            lambda _: DOCUMENT,
            compiled,
            node=self.name,
            neighbours=self.neighbours,
        )
        tell = lambda versions: setattr(self, "sought", set(versions))  # noqa: E731
        snapshots = Snapshots(self.path / "features" / "snapshots")
        clock, steady = self.node.clock, lambda: self.steady
        self.features = Materializer(self.store, sources, None, clock, steady, snapshots=snapshots, tell_sought=tell)
        return self

    def add(self, *pairs):
        bodies = (json.dumps({"subject": press, "data": {"rms": rms}}).encode() for press, rms in pairs)
        self.stream.append([NewRecord(body, self.node.wall, self.node.wall) for body in bodies])

    def follow(self):
        for _ in range(2):
            self.steady += 2.0
            while self.features.step():
                pass

    def kill(self):
        """What wasn't committed is lost."""
        self.features.stop()
        self.store.close()
        self.store = LmdbStore(self.path / "features")
        return self.start()

    def snapshot(self, monkeypatch):
        monkeypatch.setattr("skerry_edge.features.materializer.time.time", lambda: self.node.wall / SECOND)
        self.steady += FIRST_SNAPSHOT_SECONDS + 3600
        self.follow()
        self.features._snapshotter._thread.join()
        return max((self.path / "features" / "snapshots").iterdir(), key=lambda path: path.stat().st_mtime_ns)

    def values(self, press):
        found = self.features.find(DIGEST).read([press]).whole.values
        return {value.name: value.value for value in found if value.status is FeatureStatus.PRESENT}

    def states(self):
        return {key: record.state for key, record in self.store.entities(DIGEST)}

    @property
    def adopted(self):
        return self.features.find(DIGEST).adopted

    def close(self):
        self.features.stop()
        self.store.close()
        self.logs.close()


def value(count, total, last):
    return {"count": float(count), "sum": float(total), "last": float(last)}


@pytest.fixture
def clock():
    return Node(T)


@pytest.fixture
def old(tmp_path, clock):
    machine = Machine(tmp_path / "old", "node-a", clock).start()
    machine.add(("p1", 1.0), ("p1", 2.0), ("p2", 4.0))
    machine.follow()
    clock.passes(2 * 3600)
    yield machine
    machine.close()


@pytest.fixture
def new(tmp_path, clock, old):
    machine = Machine(tmp_path / "new", "node-b", clock)
    yield machine
    machine.close()


def give(snapshot, machine):
    return shutil.copy(snapshot, machine.neighbours / snapshot.name)


def test_a_new_node_goes_on_from_anothers_snapshot_with_its_own_events(old, new, clock, monkeypatch):
    snapshot = old.snapshot(monkeypatch)
    new.start()
    new.add(("p1", 8.0), ("p3", 16.0))
    new.follow()
    assert new.sought == {DIGEST}
    assert new.values("p1") == value(1, 8, 8)
    assert new.values("p2") == {}
    assert new.features.standing(DIGEST)[0] is Standing.WARM, "nothing waits for a snapshot"
    give(snapshot, new)
    new.follow()
    assert new.values("p1") == value(3, 11, 8)
    assert new.values("p2") == value(1, 4, 4)
    assert new.values("p3") == value(1, 16, 16)
    assert new.adopted.node == "node-a"
    assert new.adopted.snapshot == f"sha256:{snapshot.name.partition('.')[2]}"
    assert new.sought == set()
    reading = new.features.find(DIGEST).read(["p2"])
    assert reading.adopted == new.adopted
    assert reading.whole.values[0].age_us == 2 * HOUR, "as old as it is, by the wall clock"
    for _ in range(2):
        new.add(("p1", 1.0))
        new.kill()
        new.follow()
    assert new.values("p1") == value(5, 13, 8), "once each, the file still there"
    clock.passes(2 * 3600)
    assert new.values("p2") == {}, "nobody made it fresh"


def test_a_snapshot_of_the_new_node_carries_both_and_is_restored(old, new, clock, monkeypatch):
    give(old.snapshot(monkeypatch), new)
    new.start()
    new.add(("p1", 8.0))
    new.follow()
    new.snapshot(monkeypatch)
    new.features.stop()
    new.store.close()
    shutil.rmtree(new.path / "features" / "lmdb")
    new.store = LmdbStore(new.path / "features")
    new.start()
    new.follow()
    assert new.values("p1") == value(3, 11, 8)
    assert new.adopted.node == "node-a"


def test_what_was_given_away_never_comes_back_to_its_own_log(old, new, tmp_path, clock, monkeypatch):
    give(old.snapshot(monkeypatch), new)
    new.start()
    new.follow()
    assert new.adopted is not None
    clock.passes(2 * 3600)
    new.add(("p1", 8.0))
    again = new.snapshot(monkeypatch)
    third = Machine(tmp_path / "third", "node-c", clock).start()
    give(again, third)
    third.follow()
    assert third.values("p1") == value(1, 8, 8) | {"count": 3.0, "sum": 11.0}, "it may be passed on"
    assert third.adopted.epochs == tuple(sorted((old.stream.epoch, new.stream.epoch)))
    third.close()
    # A node whose store is lost but whose log is not computes from that.
    monkeypatch.setattr("skerry_edge.features.feed.YOUNG", 100 * HOUR)
    old.features.stop()
    old.store.close()
    shutil.rmtree(old.path / "features")
    old.store = LmdbStore(old.path / "features")
    give(again, old)
    old.start()
    old.follow()
    assert old.adopted is None
    assert old.features.find(DIGEST).read(["p1"]).whole.values[0].value == 2.0


def old_log(new, _):
    new.add(("p1", 8.0))
    new.node.passes(YOUNG / SECOND + 1)


def freed_log(new, _):
    new.add(*(("p1", 1.0) for _ in range(200)))
    min((new.path / "log" / "vibration").glob("*.seg")).unlink()


def log_aside(new, _):
    shutil.copytree(new.path / "log" / "vibration", new.path / "log" / "vibration@00000000000000aa")


def broken(new, path):
    """Whose last entity is none."""
    entities = list(Snapshot(path, 0.0).entities())
    rewritten(new, path, [*entities, (b'["p3"]', EntityRecord(b"none", 1, 1, 1))])


def other_bytes(_, path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def rewritten(new, path, entities=(), **fields):
    """A snapshot that says something else, under its right name."""
    snapshots = Snapshots(new.path / "made")
    note = structs.replace(Snapshot(path, 0.0).note(), **fields)
    assert snapshots.write(DIGEST, note, iter(entities or list(Snapshot(path, 0.0).entities())), 0)
    path.unlink()
    give(snapshots.of(DIGEST)[0].path, new)


def no_room(new, _):
    def full(*_):
        raise StoreFullError("no room")

    new.store.load = full


@pytest.mark.parametrize(
    ("prepared", "seeks"),
    [
        (old_log, False),
        (freed_log, False),
        (log_aside, False),
        (lambda new, _: new.node.passes(EXPIRES.total_seconds()), True),
        (lambda new, path: rewritten(new, path, begun=new.node.wall), True),
        (lambda new, path: rewritten(new, path, made=new.node.wall + HOUR), True),
        (lambda new, path: rewritten(new, path, document=b"{}"), True),
        (lambda new, path: rewritten(new, path, position={new.stream.epoch: 5}), True),
        (broken, True),
        (other_bytes, True),
        (no_room, True),
    ],
    ids=[
        "its log is old",
        "its log was freed",
        "a log was set aside",
        "it expired",
        "it is of no older node",
        "it is of the future",
        "it is of another document",
        "it holds events of this node's log",
        "its last state is none",
        "its bytes are others",
        "there is no room",
    ],
)
def test_what_is_not_taken_over(old, new, monkeypatch, prepared, seeks):
    given_path = give(old.snapshot(monkeypatch), new)
    prepared(new, given_path)
    new.start()
    new.follow()
    new.follow()
    assert new.adopted is None
    assert new.values("p2") == {}
    assert (new.sought == {DIGEST}) is seeks
    new.add(("p9", 1.0))
    new.follow()
    assert new.values("p9") == value(1, 1, 1), "its own go on"


def test_nothing_is_sought_for_ever_nor_by_who_has_state(old, monkeypatch):
    assert old.sought == {DIGEST}, "a site's first node asks, and nobody has anything"
    old.steady += SEEK_SECONDS
    old.follow()
    assert old.sought == set()
    give(old.snapshot(monkeypatch), old)
    old.kill()
    old.follow()
    assert (old.sought, old.adopted) == (set(), None)


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    events=st.lists(
        st.tuples(st.booleans(), st.sampled_from(["p1", "p2", "p3"]), st.floats(-1e6, 1e6)), min_size=1, max_size=40
    ),
    seed=st.integers(0, 1000),
)
def test_two_nodes_events_make_the_state_that_one_would_have(tmp_path_factory, events, seed):
    chance, clock = random.Random(seed), Node(T)
    path = tmp_path_factory.mktemp("nodes")
    whole, old = (Machine(path / name, name, clock).start() for name in ("whole", "old"))
    first = [pair[1:] for pair in events if pair[0]]
    second = [pair[1:] for pair in events if not pair[0]]
    for machine in (whole, old):
        if first:
            machine.add(*first)
        machine.follow()
    clock.passes(2 * 3600)
    with pytest.MonkeyPatch.context() as monkeypatch:
        snapshot = old.snapshot(monkeypatch)
    new = Machine(path / "new", "new", clock).start()
    cut = chance.randint(0, len(second))
    for part in (second[:cut], second[cut:]):
        if part:
            new.add(*part)
            whole.add(*part)
        new.follow()
        give(snapshot, new)
        if chance.random() < 0.5:
            new.kill()
    for machine in (new, whole):
        machine.follow()
        machine.features.commit()
    assert new.states() == whole.states()
    for machine in (whole, old, new):
        machine.close()
