"""What is withdrawn at one node is withdrawn at all, whoever is down, cut off or killed meanwhile."""

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.runtimenode import MAX_PAGE, MAX_PAGES, ConsentRelay, RuntimeNodeStatus, WithdrawalsTaken
from skerry_edge.ingest.inbox import read_inbox
from skerry_edge.sync.relay import index as index_module
from skerry_edge.sync.relay.exchange import pages
from skerry_edge.sync.relay.index import Entry, Index
from tests.unit.ingest.worlds import stored_ids
from tests.unit.sync_relay.site import Node, Site


@pytest.fixture
def site(tmp_path):
    site = Site(tmp_path, "a", "b", "c")
    yield site
    site.close()


def granted_everywhere(site, *names):
    for node in site.all.values():
        for name in names:
            node.say("granted", name)
    site.settle()


def test_a_withdrawal_reaches_the_other_nodes(site):
    granted_everywhere(site, "ann", "bob")
    site["a"].say("withdrawn", "ann")
    site.settle()
    assert [node.consenting("ann", "bob") for node in site.all.values()] == [{"bob"}] * 3
    assert [node.metric("nodes_behind") for node in site.all.values()] == [0, 0, 0]
    assert all(read_inbox(node.layout.inbox).waiting == () for node in site.all.values())


def test_only_the_classes_that_were_named_are_withdrawn(site):
    granted_everywhere(site, "ann")
    site["a"].say("withdrawn", "ann", "location")
    site.settle()
    assert site["b"].consenting("ann") == {"ann"}


def test_a_grant_stays_where_it_was_given(site):
    site["a"].say("granted", "ann")
    site.settle()
    assert [node.consenting("ann") for node in site.all.values()] == [{"ann"}, set(), set()]


def test_what_is_granted_anew_afterwards_stays_granted_however_often_it_is_told(site):
    granted_everywhere(site, "ann")
    site["a"].say("withdrawn", "ann")
    site.settle()
    site["b"].say("granted", "ann")
    for node in site.all.values():
        node.restart()
    site.settle()
    assert [node.consenting("ann") for node in site.all.values()] == [set(), {"ann"}, set()]


@pytest.mark.slow
@pytest.mark.parametrize("away", ["up", "linked"])
def test_who_was_away_gets_it_afterwards_and_holds_up_nobody(site, away):
    granted_everywhere(site, "ann", *(f"p{n}" for n in range(200)))
    setattr(site["c"], away, False)
    for n in range(200):
        site["a"].say("withdrawn", f"p{n}")
    site.settle()
    site["b"].say("withdrawn", "ann")
    site.settle()
    assert site["b"].consenting("ann", "p0", "p199") == set()
    assert (site["a"].metric("nodes_behind"), site["b"].metric("nodes_behind")) == (1, 1)
    site["b"].up = False
    setattr(site["c"], away, True)
    site.settle()
    # The node that was told is down by now: what it said is the API server's to tell.
    assert site["c"].consenting("ann", "p0", "p199") == set()


def test_it_is_told_by_hash(site):
    granted_everywhere(site, "ann-of-the-north")
    site["c"].up = False
    site["a"].say("withdrawn", "ann-of-the-north")
    site.settle()
    assert "ann" not in json.dumps(site.nodes)
    assert b"ann" not in site["a"].layout.withdrawals.read_bytes() + site["b"].layout.inbox.read_bytes()
    assert [path.stat().st_mode & 0o777 for path in (site["a"].layout.withdrawals, site["b"].layout.inbox)] == [
        0o600
    ] * 2


def test_nothing_leaves_against_it_before_it_is_recorded(site):
    granted_everywhere(site, "ann")
    site["a"].say("withdrawn", "ann")
    site["a"].step()
    node = site["b"]
    node.relay.listed(site.nodes.values())
    node.relay.step()
    assert node.consenting("ann") == set()
    assert node.metric("withdrawals_waiting") == 1
    node.restart()
    assert node.consenting("ann") == set()


def test_segments_may_go_before_all_nodes_know(site):
    granted_everywhere(site, "ann")
    site["c"].up = False
    node = site["a"]
    node.say("withdrawn", "ann")
    site.settle()
    log = node.streams.find("consent").log
    log.roll()
    node.say("granted", "bob")
    site.settle()
    for path in sorted(log.directory.glob("*.seg"))[:-1]:
        path.unlink()
    node.restart()
    site["c"].up = True
    site.settle()
    assert site["c"].consenting("ann") == set()


def test_what_a_node_lost_withdraws_everything_everywhere(site):
    granted_everywhere(site, "ann")
    node = site["a"]
    node.say("granted", "bob")
    site.settle()
    node.logs.close()
    identity = node.layout.log / "consent" / "log.json"
    identity.write_text(json.dumps(json.loads(identity.read_text()) | {"node": "another"}))
    node.open()
    node.say("granted", "bob")
    site.settle()
    assert [node.consenting("ann", "bob") for node in site.all.values()] == [{"bob"}, set(), set()]


def test_a_node_whose_disk_is_new_is_told_all_and_tells_anew(site):
    granted_everywhere(site, "ann", "bob")
    site["a"].say("withdrawn", "ann")
    site["b"].say("withdrawn", "bob")
    site.settle()
    site["b"].logs.close()
    shutil.rmtree(site["b"].layout.root)
    site.all["b"] = Node(site, "b")
    site["b"].say("withdrawn", "ann")
    site.settle()
    assert all(node.consenting("ann", "bob") == set() for node in site.all.values())
    assert [node.metric("nodes_behind") for node in site.all.values()] == [0, 0, 0]


@pytest.mark.parametrize("left", [b"", b"{", b"\xff"])
def test_an_index_that_is_damaged_counts_anew_and_as_a_loss(site, left):
    granted_everywhere(site, "ann", "bob")
    site["a"].say("withdrawn", "bob")
    site.settle()
    site["a"].layout.withdrawals.write_bytes(left)
    site["a"].restart()
    site.settle()
    assert [node.consenting("ann", "bob") for node in site.all.values()] == [{"ann"}, set(), set()]


def test_a_node_with_another_salt_cannot_tell_whose_it_is(site, tmp_path):
    granted_everywhere(site, "ann", "bob")
    site.all["d"] = Node(site, "d", b"another salt")
    site["d"].say("granted", "ann")
    site.settle()
    site["a"].say("withdrawn", "bob")
    site.settle()
    assert site["d"].consenting("ann") == set()
    assert site["b"].consenting("ann", "bob") == {"ann"}


@pytest.mark.parametrize("status", [{"consent": {"key": "x"}}, {"consent": 7}, {"site": "elsewhere"}, []])
def test_what_cannot_be_read_or_is_anothers_is_passed_over(site, status):
    granted_everywhere(site, "ann")
    site.nodes["odd"] = {"metadata": {"name": "odd"}, "status": status}
    site.nodes["none"] = {}
    site["a"].say("withdrawn", "ann")
    site.settle()
    assert site["b"].consenting("ann") == set()


def test_entries_go_when_they_are_old_and_every_node_has_them():
    index = Index("00" * 8, first=5, entries=tuple(Entry("ff" * 16, (), at) for at in (10, 20, 30, 40)))
    assert index.last == 8
    for at, taken, first in ((25, 8, 7), (25, 5, 6), (25, 4, 5), (5, 8, 5), (99, 8, 9)):
        left = index.without_old(at, taken)
        assert (left.first, left.last) == (first, 8)


def test_whoever_lacks_what_was_dropped_is_told_of_a_loss(site, monkeypatch):
    monkeypatch.setattr(index_module, "MOST", 3)
    granted_everywhere(site, "ann", "bob")
    site["c"].up = False
    for n in range(5):
        site["a"].say("withdrawn", f"p{n}")
    site.settle()
    assert site["b"].consenting("ann", "bob") in ({"ann", "bob"}, set()), "as far as it was told in time"
    site["c"].up = True
    site.settle()
    assert site["c"].consenting("ann", "bob") == set()
    site["c"].say("granted", "ann")
    site.settle()
    assert site["c"].consenting("ann") == {"ann"}


entries = st.builds(
    Entry,
    st.none() | st.just("ab" * 16),
    st.lists(st.text("abcdef", min_size=1, max_size=63), max_size=64).map(tuple),
    st.integers(0, 99),
)


@given(st.lists(entries, max_size=200), st.integers(1, 50), st.integers(0, 300))
def test_pages_follow_each_other_to_the_end_and_are_bounded(found, first, after):
    index = Index("00" * 8, first=first, entries=tuple(found))
    told = []
    while (page := index.page(after)) is not None:
        assert page.after == after
        assert 0 < len(page.withdrawals) <= MAX_PAGE
        assert len(page.model_dump_json()) < 16_384
        told += [each.number for each in page.withdrawals]
        after = page.withdrawals[-1].number
    assert told == [] or told[-1] == index.last
    assert told == list(range(told[0], told[0] + len(told))) if told else True


@pytest.mark.slow
def test_more_places_than_pages_have_their_turns():
    index = Index("00" * 8, entries=tuple(Entry("ab" * 16, (), 0) for _ in range(90)))
    peers = {
        f"n{n}": ConsentRelay(
            key="00" * 8,
            incarnation="11" * 8,
            taken=(WithdrawalsTaken(node="me", incarnation=index.incarnation, number=n),),
        )
        for n in range(80)
    }
    seen = set()
    for turn in range(80):
        found = pages(index, "me", peers, turn)
        assert len(found) == MAX_PAGES
        seen |= {page.after for page in found}
        assert len(RuntimeNodeStatus(consent=ConsentRelay(key="00" * 8, incarnation="11" * 8, pages=found)).to_wire())
    assert seen == set(range(80))


NODES = ("a", "b", "c")


class Happening:
    """What may happen, as steps of a story; each is given the site, a node and an entity."""

    @staticmethod
    def grant(site, name, entity):
        site[name].say("granted", entity)

    @staticmethod
    def withdraw(site, name, entity):
        site[name].say("withdrawn", entity)

    @staticmethod
    def step(site, name, entity):
        site[name].step()

    @staticmethod
    def restart(site, name, entity):
        site[name].restart()

    @staticmethod
    def reopen(site, name, entity):
        """Inference ends and starts again."""
        site[name].logs.close()
        site[name].open()

    @staticmethod
    def take_and_fall(site, name, entity):
        """Sync is killed after inference has recorded what it was told, before it has seen that."""
        site[name].inference.look()
        site[name].restart()

    @staticmethod
    def toggle(site, name, entity):
        site[name].up = not site[name].up

    @staticmethod
    def cut(site, name, entity):
        site[name].linked = not site[name].linked

    @staticmethod
    def settle(site, name, entity):
        site.settle()


happenings = st.sampled_from([name for name in vars(Happening) if not name.startswith("_")])


@pytest.mark.slow
@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(happenings, st.sampled_from(NODES), st.sampled_from(["ann", "bob"])), max_size=25))
def test_whatever_happens_a_withdrawal_ends_all_grants_of_before(story):
    with tempfile.TemporaryDirectory() as folder:
        site = Site(Path(folder), *NODES)
        last = {}
        for number, (happening, name, entity) in enumerate(story):
            if happening in {"grant", "withdraw"}:
                last[(happening, name if happening == "grant" else "", entity)] = number
            getattr(Happening, happening)(site, name, entity)
        for node in site.all.values():
            node.up = node.linked = True
        site.settle()
        for name in NODES:
            for entity in ("ann", "bob"):
                given_at = last.get(("grant", name, entity), -1)
                if given_at <= last.get(("withdraw", "", entity), -1):
                    assert site[name].consenting(entity) == set()
            ids = [seen for seen in stored_ids(site[name].logs, "consent") if "/" in seen]
            assert len(ids) == len(set(ids)), "each is recorded once"
        site.close()
