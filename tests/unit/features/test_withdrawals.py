"""Consent that is withdrawn takes features with it: real logs, the real redactor and engine, LMDB."""

import pytest

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_edge.features import materializer
from skerry_edge.features.engine import compiled
from skerry_edge.features.materializer import Materializer, Sources, Standing
from skerry_edge.features.needs import Needs
from skerry_edge.features.ports import StoreFullError
from skerry_edge.features.snapshots import Snapshots
from skerry_edge.features.store import LmdbStore, put_aside
from skerry_edge.ingest.withdrawals import Withdrawals
from tests.unit.features.sets import document, feature
from tests.unit.features.test_version import Node
from tests.unit.ingest.test_redaction import World
from tests.unit.ingest.worlds import NOW, event, event_logs

FEATURES = [feature("count", "Count", None), feature("state", "Distinct", "state"), feature("sum", "Sum")]
BY_SUBJECT = canonical_json(document(FEATURES, stream="vitals"))
BY_PRESS = canonical_json(document(FEATURES, stream="vitals", entities=[{"name": "press", "path": "data.press"}]))


def reading(patient, rms, press="north"):
    reading.number += 1
    data = {"rms": rms, "press": press, "state": f"of {patient}"}
    return event(reading.number, subject=patient, data=data)


reading.number = 0


class Site:
    """`World`'s node and what it computes of the stream `vitals`."""

    def __init__(self, logs, root, document):
        self.world, self.root = World(logs, root), root
        self.document, self.digest = document, digests.of_bytes(document)
        self.node, self.steady = Node(NOW), 0.0
        self.store = LmdbStore(root / "features")

    def start(self):
        sources = Sources(
            self.root / "log",
            1,
            lambda: Needs(frozenset([self.digest]), certain=True),
            lambda _: self.document,
            compiled,
            Withdrawals(
                self.root / "consent.json", self.root / "log" / "consent", self.root / "withdrawals.json"
            ).since,
            node=self.root.name,
            neighbours=self.root / "neighbours",
        )
        snapshots = Snapshots(self.root / "features" / "snapshots")
        return Materializer(self.store, sources, None, self.node.clock, lambda: self.steady, snapshots=snapshots)

    def follow(self, features, seconds=2.0):
        for _ in range(2):
            self.steady += seconds
            while features.step():
                pass

    def snapshot(self, features):
        self.steady += materializer.SNAPSHOT_SECONDS
        self.follow(features)
        features._snapshotter._thread.join()
        return list((self.root / "features" / "snapshots").iterdir())

    def again(self, features):
        """As after a kill: what wasn't committed is lost."""
        self.store.close()
        self.store = LmdbStore(self.root / "features")
        return self.start()

    def state(self, features, *entity):
        found = features.find(self.digest).read(entity).whole.values
        return {value.name: value.value for value in found}

    def bytes(self):
        files = (path for path in (self.root / "features").rglob("*") if path.is_file())
        return b"".join(path.read_bytes() for path in files)


@pytest.fixture(params=[BY_SUBJECT, BY_PRESS], ids=["by subject", "by press"])
def site(request, tmp_path):
    with event_logs(tmp_path / "log") as logs:
        site = Site(logs, tmp_path, request.param)
        site.by_subject = request.param is BY_SUBJECT
        yield site
        site.store.close()


def test_what_was_withdrawn_is_in_no_value_and_in_no_byte(site):
    site.world.put("vitals", *(reading(patient, rms) for patient, rms in (("p7", 1), ("p8", 2), ("p7", 4))))
    features = site.start()
    site.follow(features)
    assert b'["p7"]' in site.bytes() or not site.by_subject
    site.world.consent(1, "withdrawn", "p7", "health")
    site.follow(features)
    before = site.state(features, "p7" if site.by_subject else "north")
    assert before["sum"] == (5 if site.by_subject else 7), "the logs come first"
    assert site.world.redactor.catch_up()
    site.follow(features, materializer.SCRUB_SECONDS)
    if site.by_subject:
        assert site.state(features, "p7")["sum"] is None
        assert features.find(site.digest).counts.purged == 1
        assert b'["p7"]' not in site.bytes()
    else:
        assert site.state(features, "north") == {"count": 1.0, "state": 1.0, "sum": 2.0}
    assert site.state(features, "p8" if site.by_subject else "north")["sum"] == 2.0
    assert features.standing(site.digest)[0] is Standing.WARM
    site.world.put("vitals", reading("p8", 3))
    site.follow(features)
    assert site.state(features, "p8" if site.by_subject else "north")["sum"] == 5.0
    counts = features.find(site.digest).counts.purged
    site.follow(features)
    assert features.find(site.digest).counts.purged == counts, "once"


def test_no_snapshot_keeps_what_was_withdrawn(site):
    site.world.put("vitals", reading("p7", 1), reading("p8", 2))
    features = site.start()
    site.follow(features)
    assert site.snapshot(features)
    site.world.consent(1, "withdrawn", "p7", "health")
    assert site.world.redactor.catch_up()
    features.stop()
    features = site.again(features)
    site.follow(features)
    assert not list((site.root / "features" / "snapshots").iterdir())
    assert site.snapshot(features)
    features.stop()
    site.store.close()
    put_aside(site.root / "features")
    site.store = LmdbStore(site.root / "features")
    features = site.start()
    site.follow(features)
    assert site.state(features, "p8" if site.by_subject else "north")["sum"] == 2.0
    assert not site.by_subject or site.state(features, "p7")["sum"] is None


@pytest.mark.parametrize("killed", ["before the commit", "before the scrub", "after it"])
def test_a_kill_makes_nothing_stay(site, killed, monkeypatch):
    site.world.put("vitals", reading("p7", 1), reading("p8", 2))
    features = site.start()
    site.follow(features)
    site.world.consent(1, "withdrawn", "p7", "health")
    assert site.world.redactor.catch_up()
    monkeypatch.setattr(materializer, "SCRUB_SECONDS", 1e9)
    if killed == "before the commit":
        monkeypatch.setattr(site.store, "commit", lambda _: (_ for _ in ()).throw(StoreFullError("no room")))
        with pytest.raises(StoreFullError):
            site.follow(features)
    elif killed == "before the scrub":
        monkeypatch.setattr(site.store, "scrub", lambda: (_ for _ in ()).throw(StoreFullError("no room")))
        site.follow(features)
        assert site.store.purge_noted
    else:
        site.follow(features)
    features = site.again(features)
    site.follow(features)
    site.follow(features)
    values = [site.state(features, *entity) for entity in (("p7",), ("north",))]
    assert values[0 if site.by_subject else 1]["sum"] == (None if site.by_subject else 2.0)
    assert not site.store.purge_noted
    assert not site.by_subject or b'["p7"]' not in site.bytes()


def test_another_data_class_takes_nothing(site):
    site.world.put("vitals", reading("p7", 1))
    features = site.start()
    site.follow(features)
    site.world.consent(1, "withdrawn", "p7", "presence")
    site.world.consent(2, "withdrawn", "p8", "health")
    assert site.world.redactor.catch_up()
    site.follow(features)
    assert site.state(features, "p7" if site.by_subject else "north")["sum"] == 1.0


def test_what_was_put_aside_goes_too(site):
    site.world.put("vitals", reading("p7", 1))
    features = site.start()
    site.follow(features)
    features.close()
    put_aside(site.root / "features")
    site.store = LmdbStore(site.root / "features")
    features = site.start()
    site.follow(features)
    assert (site.root / "features" / "lmdb.damaged").exists()
    site.world.consent(1, "withdrawn", "p7", "health")
    assert site.world.redactor.catch_up()
    site.follow(features, materializer.SCRUB_SECONDS)
    assert not (site.root / "features" / "lmdb.damaged").exists()
    assert not site.by_subject or b'["p7"]' not in site.bytes()


def test_a_stream_that_gets_a_data_class_later(site):
    whole = site.world.document
    plain = [
        stream.model_copy(update={"data_class": None}) if stream.name == "vitals" else stream
        for stream in whole.streams
    ]
    site.world.document = whole.model_copy(update={"streams": tuple(plain)})
    site.world.put("vitals", reading("p7", 1), reading("p8", 2))
    site.world.consent(1, "withdrawn", "p7", "health")
    features = site.start()
    assert site.world.redactor.catch_up()
    site.follow(features)
    entity = "p7" if site.by_subject else "north"
    assert site.state(features, entity)["sum"] > 0
    site.world.document = whole
    assert site.world.redactor.catch_up()
    site.follow(features)
    assert site.state(features, entity)["sum"] == (None if site.by_subject else 2.0)
