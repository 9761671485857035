"""Versions that follow real logs: backfill, warm, letters, eviction, and whatever comes in between."""

import json
from datetime import timedelta

import pytest

from skerry_core import digest as digests
from skerry_core.errors import UserMustActError, WaitError
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.letters import LetterBox
from skerry_edge.features.materializer import AGAIN_SECONDS, Materializer, Sources, Standing
from skerry_edge.features.needs import DROP_AFTER, Needs, plan
from skerry_edge.features.ports import StoreFullError
from skerry_edge.features.snapshots import Snapshots
from skerry_edge.features.store import LmdbStore
from tests.unit.features.fakes import FakeEngine, FakeStore
from tests.unit.features.test_version import Node, values

ONE, TWO = b"one", b"two"
DIGESTS = {document: digests.of_bytes(document) for document in (ONE, TWO, b"old", b"lost")}


class Site:
    """A node's logs, its store of features, and what its releases need."""

    def __init__(self, path, store=None):
        self.path = path
        self.node = Node()
        self.steady = 0.0
        self.store = store or FakeStore()
        self.needed = {ONE}
        self.certain = True
        self.boot = "boot"
        self.open()

    def open(self):
        owner = Owner("site-a", "node-1", self.boot)
        self.logs = EventLogs(self.path / "log", owner, segment_bytes=4000, wall=lambda: self.node.wall * 1000)
        self.stream, self.letters = (
            self.logs.open(StreamSettings(name, 1, timedelta(days=30), 1 << 30)) for name in ("vitals", "dead-letter")
        )

    def add(self, *pairs):
        records = []
        for key, value in pairs:
            body = {"k": key, "v": value} if key else {"broken": value}
            records.append(NewRecord(json.dumps(body).encode(), self.node.wall, self.node.wall))
        self.stream.append(records)

    def document(self, digest):
        for document, known in DIGESTS.items():
            if known == digest and document != b"lost":
                return document
        raise WaitError("BlobMissing", "not here")

    def compiled(self, document):
        if document == b"old":
            raise UserMustActError("UnsupportedSchema", "schema 9")
        return FakeEngine(name=document.decode())

    def start(self):
        needs = lambda: Needs(frozenset(DIGESTS[each] for each in self.needed), self.certain)  # noqa: E731
        sources = Sources(self.path / "log", 1, needs, self.document, self.compiled)
        box = LetterBox(self.path / "log" / "dead-letter", self.letters, lambda: self.node.wall)
        snapshots = Snapshots(self.path / "features" / "snapshots")
        return Materializer(self.store, sources, box, self.node.clock, lambda: self.steady, snapshots=snapshots)

    def follow(self, materializer, steps=1000):
        while materializer.step() and (steps := steps - 1):
            pass

    def again(self):
        """What was written soon is durable, as to the next process."""
        self.logs.close()
        self.open()

    def written_letters(self):
        self.again()
        batches = LogReader(self.path / "log" / "dead-letter").read(1, 1000)
        return [json.loads(record.body) for batch in batches for record in batch.records()]


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path)
    yield site
    site.logs.close()


def present(count, total):
    return [("PRESENT", float(count)), ("PRESENT", float(total))]


def test_a_new_version_is_computed_from_the_oldest_record_beside_the_old_one(site):
    site.add(*(("a", 1) for _ in range(3000)))
    features = site.start()
    site.follow(features)
    assert values(features.find(DIGESTS[ONE]).read(["a"])) == present(3000, 3000)
    assert features.standing(DIGESTS[ONE]) == (Standing.WARM, "")
    site.needed = {ONE, TWO}
    assert features.standing(DIGESTS[TWO])[0] is Standing.NOT_READY
    site.steady += 1
    assert features.step()
    assert features.standing(DIGESTS[TWO])[0] is Standing.WARMING
    site.add(("a", 1))
    site.follow(features)
    assert features.standing(DIGESTS[TWO])[0] is Standing.WARM
    for document in (ONE, TWO):
        assert values(features.find(DIGESTS[document]).read(["a"])) == present(3001, 3001)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (b"lost", (Standing.NOT_READY, "BlobMissing: not here")),
        (b"old", (Standing.REFUSED, "UnsupportedSchema: schema 9")),
    ],
)
def test_a_document_that_is_not_here_or_not_understood(site, document, expected):
    site.needed = {document}
    features = site.start()
    site.follow(features)
    assert features.standing(DIGESTS[document]) == expected


def test_goes_on_where_the_last_commit_was(site):
    site.add(("a", 1), ("b", 1))
    features = site.start()
    site.follow(features)
    site.add(("a", 5))
    features.step()  # applied, not committed: as if the process were killed here
    for _ in range(2):
        features = site.start()
        assert features.standing(DIGESTS[ONE])[0] is Standing.WARM
        site.follow(features)
        assert values(features.find(DIGESTS[ONE]).read(["a"])) == present(2, 6)
    features.close()
    assert features.find(DIGESTS[ONE]).applied.seq == 3


def test_logs_that_were_set_aside_count_once(site):
    site.add(("a", 1), ("a", 2))
    features = site.start()
    site.follow(features)
    features.close()
    site.add(("a", 3))
    site.logs.close()
    (site.path / "log" / "vitals" / "log.json").unlink()
    site.open()
    site.add(("a", 4))
    assert len(list((site.path / "log").glob("vitals@*"))) == 1
    site.needed = {ONE, TWO}
    features = site.start()
    site.follow(features)
    for document in (ONE, TWO):
        assert values(features.find(DIGESTS[document]).read(["a"])) == present(4, 10)


@pytest.mark.parametrize("when", ["before the commit", "after the commit", "after the letters"])
def test_each_refused_event_gives_one_letter(site, when):
    site.add(("a", 1), (None, "old"))
    features = site.start()
    site.follow(features)
    assert site.written_letters() == []  # the past was refused before, or by another version
    site.add((None, 1), ("a", 1))
    if when == "after the commit":
        deliver, LetterBox.deliver = LetterBox.deliver, lambda *_: 0
    site.steady += 0 if when == "before the commit" else 2
    site.follow(features)
    if when == "after the commit":
        LetterBox.deliver = deliver
    site.again()
    features = site.start()  # killed
    site.follow(features)
    site.steady += 2
    site.follow(features)
    (letter,) = site.written_letters()
    assert letter["data"]["reason"] == "FieldMissing"
    assert letter["data"]["origin"] == "features:plant/one"
    assert json.loads(letter["data"]["text"]) == {"broken": 1}
    assert features.find(DIGESTS[ONE]).counts.refused.total() <= 1


def test_what_nobody_needs_is_dropped_only_when_that_is_certain(site):
    site.add(("a", 1))
    features = site.start()
    site.follow(features)
    site.needed = set()
    for certain, there in ((False, True), (True, True), (True, False)):
        site.certain = certain
        site.steady += DROP_AFTER.total_seconds()
        site.follow(features)
        assert (features.find(DIGESTS[ONE]) is not None) is there
    assert site.store.notes() == {}


def test_plan_forgets_since_when_if_it_is_needed_again():
    seen = plan(["a"], Needs(frozenset(), certain=True), {}, 0.0)
    assert seen.unneeded == {"a": 0.0}
    assert plan(["a"], Needs(frozenset("a"), certain=True), seen.unneeded, 5.0).unneeded == {}
    assert plan(["a"], Needs(frozenset("b"), certain=False), seen.unneeded, 1e9).drop == ()


def test_a_full_disk_loses_nothing(site):
    site.add(("a", 1))
    features = site.start()
    site.store.broken = StoreFullError("no room")
    with pytest.raises(StoreFullError):
        site.follow(features)
    site.add(("a", 1))
    site.store.broken = None
    site.follow(features)
    site.steady += 2
    site.follow(features)
    assert values(features.find(DIGESTS[ONE]).read(["a"])) == present(2, 2)
    again = site.start()
    assert values(again.find(DIGESTS[ONE]).read(["a"])) == present(2, 2)


class Poisoned(FakeEngine):
    """Raises at a value that the others take."""

    at = 13

    def apply(self, events, states):
        if any(json.loads(body).get("v") == self.at for body in events.bodies) and self.name == "one":
            raise ZeroDivisionError("a bug")
        return super().apply(events, states)


def test_a_bug_stops_the_one_version_that_meets_it(site, monkeypatch):
    site.compiled = lambda document: Poisoned(name=document.decode())
    site.needed = {ONE, TWO}
    site.add(("a", 1))
    features = site.start()
    site.follow(features)
    site.add(("a", 13), ("a", 1))
    for _ in range(3):
        site.steady += 2
        site.follow(features)
    assert features.standing(DIGESTS[ONE]) == (Standing.FAILED, "ZeroDivisionError: a bug")
    assert features.standing(DIGESTS[TWO]) == (Standing.WARM, "")
    assert values(features.find(DIGESTS[ONE]).read(["a"])) == present(1, 1), "as of the last commit"
    assert values(features.find(DIGESTS[TWO]).read(["a"])) == present(3, 15)
    monkeypatch.setattr(Poisoned, "at", None)
    site.steady += AGAIN_SECONDS
    site.follow(features)
    site.follow(features)
    assert features.standing(DIGESTS[ONE])[0] is Standing.WARM
    assert values(features.find(DIGESTS[ONE]).read(["a"])) == present(3, 15)


def test_with_lmdb(tmp_path):
    site = Site(tmp_path, LmdbStore(tmp_path / "features"))
    site.add(*((f"k{number % 50}", number) for number in range(700)))
    features = site.start()
    site.follow(features)
    features.close()
    site.store = LmdbStore(tmp_path / "features")
    features = site.start()
    assert values(features.find(DIGESTS[ONE]).read(["k7"])) == present(14, sum(range(7, 700, 50)))
    features.close()
    site.logs.close()
