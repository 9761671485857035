"""States, commits, eviction and readings; and how old an entity is by clocks that jump."""

import json

import numpy as np
import pytest

from skerry_core.features.apply import RawEvents
from skerry_edge.events.follow import Place
from skerry_edge.features.clock import UNKNOWN, Clock, Moments, anchor_of, moment
from skerry_edge.features.note import VersionNote
from skerry_edge.features.ports import Change
from skerry_edge.features.version import Version
from tests.unit.features.fakes import SECOND, FakeEngine, FakeStore

DIGEST = "sha256:" + "1" * 64
T = 1_790_000_000 * SECOND


class Node:
    """A node's clocks, moved by hand; uptime in ms."""

    def __init__(self, wall=T):
        self.wall, self.up = wall, 10_000_000
        self.clock = Clock(lambda: self.wall, lambda: self.up)

    def passes(self, seconds):
        self.wall += int(seconds * SECOND)
        self.up += int(seconds * 1000)


def events(node, *pairs, time=None):
    bodies = [json.dumps({"k": key, "v": value} if key else {}).encode() for key, value in pairs]
    at = np.full(len(pairs), node.wall if time is None else time, np.int64)
    return RawEvents(bodies, at, np.full(len(pairs), node.wall, np.int64))


def make(node, engine=None, store=None, boot=1, kept=None, **options):
    store = store or FakeStore()
    get = lambda name: store.get(DIGEST, name)  # noqa: E731
    return Version(DIGEST, engine or FakeEngine(), clock=node.clock, boot=boot, get=get, kept=kept, **options), store


def commit(version, store):
    store.commit([Change(DIGEST, VersionNote(b""), version.pending())])
    version.committed()


def apply(version, node, *pairs, followed=None):
    return version.apply(events(node, *pairs), Place("e", 1), node.clock.read(), followed)


def values(reading):  # an EntityReading
    return [(value.status, value.value) for value in reading.computed.values]


def test_reads_what_was_applied_before_and_after_a_commit():
    node = Node()
    version, store = make(node, hot_bytes=0)
    refused = apply(version, node, ("a", 2), ("b", 5), (None, 0), ("a", 3))
    assert [(refusal.row, refusal.reason) for refusal in refused] == [(2, "FieldMissing")]
    for _ in range(2):
        assert values(version.read(["a"])) == [("PRESENT", 2.0), ("PRESENT", 5.0)]
        assert values(version.read(["c"])) == [("NOT_FOUND", None)] * 2
        commit(version, store)
    apply(version, node, ("a", 1))
    assert values(version.read(["a"])) == [("PRESENT", 3.0), ("PRESENT", 6.0)]
    commit(version, store)
    assert version.dirty == 0
    assert version.size == sum(record.size for _, record in store.entities(DIGEST))


def test_a_reading_is_kept_until_its_time():
    node = Node()
    version, _ = make(node)
    apply(version, node, ("a", 2))
    first = version.read(["a"])
    node.passes(30)
    second = version.read(["a"])
    assert second.computed is first.computed
    assert (second.whole.values[0].age_us, first.whole.values[0].age_us) == (30 * SECOND, 0)
    node.passes(31)
    assert values(version.read(["a"]))[0] == ("OUTSIDE_MAX_AGE", 1.0)


def test_who_was_not_heard_of_for_longest_is_evicted():
    node = Node()
    version, store = make(node, FakeEngine(max_entities=2))
    apply(version, node, ("a", 1), ("b", 1))
    commit(version, store)
    apply(version, node, ("a", 1))
    apply(version, node, ("c", 1))
    assert values(version.read(["b"]))[0][0] == "NOT_FOUND"
    commit(version, store)
    assert [key for key, _ in store.entities(DIGEST)] == [b"a", b"c"]
    assert (version.counts.evicted, version.entities) == (1, 2)
    apply(version, node, ("b", 7))
    assert values(version.read(["b"])) == [("PRESENT", 1.0), ("PRESENT", 7.0)]


def test_bytes_are_bounded():
    node = Node()
    version, store = make(node, FakeEngine(max_bytes=200))
    for number in range(20):
        apply(version, node, (f"k{number}", 1))
    commit(version, store)
    assert version.size == sum(record.size for _, record in store.entities(DIGEST)) <= 200
    assert values(version.read(["k19"]))[0][0] == "PRESENT"
    assert version.counts.evicted == 20 - version.entities


def test_taken_up_by_another_process():
    node = Node()
    version, store = make(node)
    apply(version, node, ("a", 1))
    commit(version, store)
    kept = {key: record.size for key, record in store.entities(DIGEST)}
    node.passes(20)
    for boot in (1, 2):
        again, _ = make(node, store=store, boot=boot, kept=kept)
        assert again.read(["a"]).whole.values[0].age_us == 20 * SECOND


@pytest.mark.parametrize("jump", [-86_400, -30, 30, 86_400])
def test_a_jump_of_the_wall_clock_changes_no_age(jump):
    node = Node()
    version, _ = make(node)
    apply(version, node, ("a", 1))
    node.passes(40)
    version.read(["a"])
    node.wall += jump * SECOND
    assert version.read(["a"]).whole.values[0].age_us == 40 * SECOND
    node.passes(40)
    assert values(version.read(["a"]))[0][0] == "OUTSIDE_MAX_AGE"


def test_a_clock_set_back_between_boots_makes_nothing_fresh():
    node = Node()
    version, store = make(node)
    apply(version, node, ("a", 1))
    commit(version, store)
    kept = {key: record.size for key, record in store.entities(DIGEST)}
    node = Node(T - 3600 * SECOND)
    version, _ = make(node, store=store, boot=2, kept=kept)
    assert values(version.read(["a"]))[0][0] == "OUTSIDE_MAX_AGE"
    node.passes(30)
    assert values(version.read(["a"]))[0][0] == "OUTSIDE_MAX_AGE"
    apply(version, node, ("a", 1))
    # The newest event's time is in the future by this clock, and its age is nought; but it did come just now.
    assert values(version.read(["a"]))[0][0] == "PRESENT"


@pytest.mark.parametrize(
    ("wall", "followed", "expected"),
    [
        (T, 900, 1000),  # just now
        (T + 50_000, 900, 950),  # 50 ms ago, and the last look was 100 ms ago
        (T + 3600 * SECOND, 900, 900),  # the clock was set forward in between
        (T - 3600 * SECOND, 900, 1000),  # or back
        (T + 3600 * SECOND, None, 1000 - 3_600_000),  # an old record
        (T - 500_000, None, 1000),  # corrected a little
        (T - 3600 * SECOND, None, None),  # nobody knows
    ],
)
def test_anchors(wall, followed, expected):
    assert anchor_of(T, Moments(wall, 1000), followed) == expected


@pytest.mark.parametrize(
    ("anchor", "same_boot", "wall", "expected"),
    [
        (400, True, T + 99 * SECOND, T + 600_000),
        (None, True, T - 5 * SECOND, T + UNKNOWN),
        (None, True, T + 5 * SECOND, T + 5 * SECOND),
        (400, False, T + 99 * SECOND, T + 99 * SECOND),
        (400, False, T - 500_000, T),
        (400, False, T - 5 * SECOND, T + UNKNOWN),
    ],
)
def test_moments(anchor, same_boot, wall, expected):
    assert moment(T, anchor, same_boot=same_boot, now=Moments(wall, 1000)) == expected
