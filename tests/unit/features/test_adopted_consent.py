"""Who withdraws consent doesn't come back by another node's snapshot: real logs, the real redactor and engine, LMDB."""

import shutil

import pytest

from skerry_edge.features import materializer
from skerry_edge.features.snapshots import Snapshots
from skerry_edge.ingest.inbox import write_inbox
from skerry_edge.ingest.relay import ConsentRelay
from tests.unit.features.test_version import SECOND, Node
from tests.unit.features.test_withdrawals import BY_PRESS, BY_SUBJECT, Site, reading
from tests.unit.ingest.test_redaction import SECRET, relayed
from tests.unit.ingest.worlds import NOW, event_logs


@pytest.fixture(params=[BY_SUBJECT, BY_PRESS], ids=["by subject", "by press"])
def sites(request, tmp_path):
    """A node with states of two entities, and one that began two hours later, as the features' clocks say."""
    for name in ("old", "new"):
        (tmp_path / name / "neighbours").mkdir(parents=True)
    with event_logs(tmp_path / "old" / "log") as old_logs, event_logs(tmp_path / "new" / "log") as new_logs:
        old, new = (Site(logs, tmp_path / name, request.param) for logs, name in ((old_logs, "old"), (new_logs, "new")))
        old.by_subject = new.by_subject = request.param is BY_SUBJECT
        old.world.put("vitals", reading("p7", 1), reading("p8", 2))
        old.node = Node(NOW - 7200 * SECOND)
        yield old, new
        old.store.close()
        new.store.close()


def give(old, features, new, monkeypatch):
    monkeypatch.setattr(materializer.time, "time", lambda: new.node.wall / 1e6)
    for path in old.snapshot(features):
        shutil.copy(path, new.root / "neighbours" / path.name)


def tell(site, *withdrawals):
    """As sync does with what other nodes told of, and ingest with that."""
    write_inbox(site.world.inbox, SECRET, withdrawals)
    ConsentRelay(site.world.inbox, lambda: site.world.streams.find("consent"), lambda: None).look()
    assert site.world.redactor.catch_up()


def adopted(site, features):
    return features.find(site.digest).adopted


@pytest.mark.slow
@pytest.mark.parametrize("when", ["before it is taken over", "afterwards", "before it is redacted"])
@pytest.mark.parametrize("where", ["here", "at another node"])
def test_what_is_withdrawn_does_not_come_or_does_not_stay(sites, monkeypatch, when, where):
    old, new = sites
    following = old.start()
    old.follow(following)
    give(old, following, new, monkeypatch)

    def withdraw():
        if where == "here":
            new.world.consent(1, "withdrawn", "p7", "health")
            assert when == "before it is redacted" or new.world.redactor.catch_up()
        else:
            tell(new, relayed(1, "p7", "health"))

    if when != "afterwards":
        withdraw()
    features = new.start()
    new.follow(features)
    if when == "afterwards":
        assert adopted(new, features).node == "old"
        assert new.state(features, "p7" if new.by_subject else "north")["sum"] == (1.0 if new.by_subject else 3.0)
        withdraw()
    assert new.world.redactor.catch_up()
    new.world.put("vitals", reading("p9", 16))
    new.follow(features, materializer.SCRUB_SECONDS)
    if new.by_subject:
        assert new.state(features, "p7")["sum"] is None
        assert new.state(features, "p8")["sum"] == 2.0
        assert new.state(features, "p9")["sum"] == 16.0
        assert adopted(new, features) is not None
        assert b'["p7"]' not in new.bytes()
    else:
        assert new.state(features, "north")["sum"] == 16.0, "of its own log alone"
        assert adopted(new, features) is None
    following.stop()


def test_a_snapshot_of_before_is_not_offered_any_more(sites):
    old, _ = sites
    following = old.start()
    old.follow(following)
    assert old.snapshot(following)
    old.world.consent(1, "withdrawn", "p7", "health")
    assert old.world.redactor.catch_up()
    old.follow(following)
    assert Snapshots(old.root / "features" / "snapshots").of(old.digest) == []
    following.stop()
