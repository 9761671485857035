"""Which SyncPolicy a site follows, what it is told, and what no deletion takes away from it."""

from datetime import datetime, timedelta
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.conditions import find
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_core.store.blobs import blob_key, read_blob
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.memory import MemoryStore
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES, SyncPolicyDocument
from skerry_core.trust.policy import PolicyDocument
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.hub.reconcile.sync_policy import reconcile_sync_policy
from skerry_operator.hub.sync_policy.claims import lost_sites, name_of, policy_for
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, SITE_ASSIGNMENTS, SITE_CLASSES, SYNC_POLICIES
from tests.unit.hub.a_hub import NOW, make_hub, put

NORTH = {"siteSelector": {"matchLabels": {"region": "north"}}}


class Store(MemoryStore):
    down = False

    def put(self, *args, **kwargs):
        if self.down:
            raise StoreUnavailableError("no route")
        super().put(*args, **kwargs)


class Fleet:
    """A hub with two sites in the north and one in the south, and policies that people come and go with."""

    def __init__(self):
        self.kube, self.store, self.queued = MemoryKube(), Store(), []
        self.hub = make_hub(self.kube, self.store, self.queued)
        self.reconcile_site = SiteReconciler(self.hub)
        self.hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), "sha256:" + "5" * 64)
        put(self.hub, SITE_CLASSES, "lab", {"image": "skerry-edge:0.1.0"})
        for name, region in (("a", "north"), ("b", "north"), ("c", "south")):
            self.site(name, region)

    def site(self, name, region):
        body = {
            "metadata": {"name": name, "labels": {"region": region}},
            "spec": {"siteClassName": "lab", "hubAcceptsClient": True},
        }
        self.hub.inventory.observe(EDGE_SITES, "MODIFIED", self.kube.apply(EDGE_SITES, body))

    def policy(self, name, spec, *, age=0, namespace="ops"):
        body = {
            "metadata": {
                "name": name,
                "namespace": namespace,
                "creationTimestamp": (NOW - timedelta(days=age)).isoformat(),
            },
            "spec": spec,
        }
        self.hub.inventory.observe(SYNC_POLICIES, "MODIFIED", self.kube.apply(SYNC_POLICIES, body))

    def delete(self, name, namespace="ops"):
        gone = self.kube.get(SYNC_POLICIES, name, namespace)
        self.kube.delete(SYNC_POLICIES, name, namespace)
        self.hub.inventory.observe(SYNC_POLICIES, "DELETED", gone)

    def settle(self):
        """As the work queue would after any change, in an order that helps nobody: sites first."""
        again = None
        for _ in range(2):
            for site in "abc":
                self.reconcile_site(Key(EDGE_SITES, "", site))
            for policy in list(self.hub.inventory.all(SyncPolicy)):
                again = reconcile_sync_policy(self.hub, Key(SYNC_POLICIES, *name_of(policy)))
        return again

    def take(self, *sites):
        """Have sites report the assignment that they were told."""
        for site in sites:
            space = f"skerry-site-{site}"
            body = self.kube.get(SITE_ASSIGNMENTS, "current", space)
            body["status"] = {"observedSerial": body["spec"]["serial"]}
            self.hub.inventory.observe(
                SITE_ASSIGNMENTS, "MODIFIED", self.kube.replace(SITE_ASSIGNMENTS, body, "status")
            )

    def told(self, site) -> SyncPolicyDocument | None:
        digest = self.hub.inventory.record(site).document.sync_policy
        if digest is None:
            return None
        return SyncPolicyDocument.model_validate_json(read_blob(self.store, digest, MAX_DOCUMENT_BYTES))

    def status(self, name, namespace="ops"):
        return self.hub.inventory.get(SyncPolicy, name, namespace).status

    def ready(self, name):
        return find(self.status(name).conditions, "Ready")


@pytest.fixture
def fleet():
    return Fleet()


def limit(number: int) -> dict:
    return {"tiers": [{"tier": "Bulk", "bytesPerHour": f"{number}M"}]}


def limits(fleet, sites="abc"):
    told = {site: fleet.told(site) for site in sites}
    return {site: document and (document.tiers[4].bytes_per_hour or 0) // 10**6 for site, document in told.items()}


def test_sites_without_a_policy_are_told_none(fleet):
    fleet.settle()
    assert limits(fleet) == {"a": None, "b": None, "c": None}


def test_a_policy_reaches_the_sites_that_it_selects(fleet):
    fleet.policy("north", NORTH | limit(1))
    fleet.settle()
    assert limits(fleet) == {"a": 1, "b": 1, "c": None}
    assert fleet.status("north").sites == 2
    assert fleet.status("north").effective.tiers[4].bytes_per_hour == 10**6
    assert fleet.ready("north").status == "True"


def test_its_sites_are_looked_at_once_it_is_published(fleet):
    fleet.settle()
    fleet.policy("north", NORTH | limit(1))
    fleet.queued.clear()
    reconcile_sync_policy(fleet.hub, Key(SYNC_POLICIES, "ops", "north"))
    assert {key.name for key in fleet.queued} == {"a", "b"}
    fleet.queued.clear()
    reconcile_sync_policy(fleet.hub, Key(SYNC_POLICIES, "ops", "north"))
    assert fleet.queued == []


def test_the_status_counts_the_sites_that_have_it(fleet):
    fleet.policy("north", NORTH | limit(1))
    assert fleet.settle() is not None  # it will be counted again
    assert fleet.status("north").updated_sites == 0
    fleet.take("a")
    fleet.settle()
    assert fleet.status("north").updated_sites == 1
    fleet.take("b")
    assert fleet.settle() is None
    assert fleet.status("north").updated_sites == 2
    fleet.policy("north", NORTH | limit(2))
    fleet.settle()
    assert fleet.status("north").updated_sites == 0


def test_a_policy_that_selects_nobody_says_so(fleet):
    fleet.policy("west", {"siteSelector": {"matchLabels": {"region": "west"}}})
    fleet.settle()
    assert fleet.status("west").sites == 0
    assert "matches no EdgeSite" in fleet.ready("west").message


@pytest.mark.parametrize("first", ["older", "namespace", "name"])
def test_the_first_claim_wins_and_the_later_one_learns_of_whom(fleet, first):
    ages = (2, 1) if first == "older" else (1, 1)
    spaces = ("zoo", "ops") if first == "older" else ("ops", "zoo") if first == "namespace" else ("ops", "ops")
    winner, loser = ("z", "a") if first == "older" else ("a", "z") if first == "name" else ("m", "m")
    fleet.policy(loser, limit(2), age=ages[1], namespace=spaces[1])
    fleet.policy(winner, NORTH | limit(1), age=ages[0], namespace=spaces[0])
    fleet.settle()
    assert limits(fleet) == {"a": 1, "b": 1, "c": 2}
    lost = find(fleet.status(loser, spaces[1]).conditions, "Stalled")
    assert lost.reason == "SitesTaken"
    assert f"a, b by {spaces[0]}/{winner}" in lost.message
    assert fleet.status(loser, spaces[1]).sites == 1
    assert find(fleet.status(winner, spaces[0]).conditions, "Stalled") is None


def test_many_lost_sites_are_counted_and_few_named(fleet):
    for number in range(20):
        fleet.site(f"n{number:02}", "north")
    fleet.policy("first", NORTH, age=1)
    fleet.policy("second", {})
    fleet.settle()
    assert "a, b, n00, n01, n02 and 17 more by ops/first" in fleet.ready("second").message


def test_a_deleted_policy_stays_at_its_sites_until_another_one_claims_them(fleet):
    fleet.policy("north", NORTH | limit(1))
    fleet.settle()
    before = fleet.kube.get(SITE_ASSIGNMENTS, "current", "skerry-site-a")
    fleet.delete("north")
    fleet.settle()
    assert fleet.kube.get(SITE_ASSIGNMENTS, "current", "skerry-site-a") == before
    fleet.policy("all", {})
    fleet.settle()
    assert limits(fleet) == {"a": 0, "b": 0, "c": 0}


def test_a_deleted_policy_stays_also_after_a_restart_of_the_hub(fleet):
    fleet.policy("north", NORTH | limit(1))
    fleet.settle()
    fleet.delete("north")
    hub = make_hub(fleet.kube, fleet.store)
    hub.trust.active = fleet.hub.trust.active
    for resource in (SITE_CLASSES, EDGE_SITES, SITE_ASSIGNMENTS, SYNC_POLICIES):
        hub.inventory.replace(resource, fleet.kube.list(resource))
    SiteReconciler(hub)(Key(EDGE_SITES, "", "a"))
    assert hub.inventory.record("a").document == fleet.hub.inventory.record("a").document


def test_sites_that_a_policy_leaves_keep_it_and_go_to_the_next(fleet):
    fleet.policy("first", NORTH | limit(1), age=1)
    fleet.policy("second", {"siteSelector": {"matchLabels": {"region": "south"}}} | limit(2))
    fleet.settle()
    fleet.site("b", "east")
    fleet.settle()
    assert limits(fleet) == {"a": 1, "b": 1, "c": 2}
    fleet.site("b", "south")
    fleet.settle()
    assert limits(fleet) == {"a": 1, "b": 2, "c": 2}
    fleet.delete("first")
    fleet.settle()
    assert limits(fleet) == {"a": 1, "b": 2, "c": 2}


def test_a_policy_that_broke_is_stalled_and_changes_no_site_nor_lets_another_in(fleet):
    fleet.policy("north", NORTH | limit(1), age=1)
    fleet.policy("all", limit(2))
    fleet.settle()
    published = fleet.status("north").digest
    fleet.policy("north", NORTH | {"alerts": [{"name": "hot", "stream": "*", "when": "event.x >"}]}, age=1)
    fleet.settle()
    assert find(fleet.status("north").conditions, "Stalled").reason == "ExpressionInvalid"
    assert fleet.status("north").digest == published
    assert fleet.status("north").observed_generation == 2
    assert limits(fleet) == {"a": 1, "b": 1, "c": 2}


def test_a_policy_waits_for_a_store_that_is_down(fleet):
    fleet.store.down = True
    fleet.policy("north", NORTH | limit(1))
    assert fleet.settle() is not None
    assert fleet.ready("north").reason == "StoreUnavailable"
    assert limits(fleet) == {"a": None, "b": None, "c": None}
    fleet.store.down = False
    fleet.settle()
    assert limits(fleet) == {"a": 1, "b": 1, "c": None}


def test_a_store_that_lost_the_policy_gets_it_again(fleet):
    fleet.policy("north", NORTH | limit(1))
    fleet.settle()
    fleet.store.delete(blob_key(fleet.status("north").digest))
    fleet.settle()
    assert limits(fleet, "ab") == {"a": 1, "b": 1}


def test_a_policy_that_is_gone_needs_nothing(fleet):
    assert reconcile_sync_policy(fleet.hub, Key(SYNC_POLICIES, "ops", "gone")) is None


REGIONS = ("north", "south", "east")


def some_policy(draw_from):
    name, region, age = draw_from
    selector = {"matchLabels": {"region": region}} if region else {}
    metadata = {"name": name, "namespace": "ops", "creationTimestamp": datetime.fromtimestamp(age, NOW.tzinfo)}
    return SyncPolicy.model_validate({"metadata": metadata, "spec": {"siteSelector": selector}})


policies = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.sampled_from((*REGIONS, None)), st.integers(0, 3)).map(some_policy),
    max_size=4,
    unique_by=name_of,
)
SITES = [
    EdgeSite.model_validate(
        {"metadata": {"name": f"site-{region}", "labels": {"region": region}}, "spec": {"siteClassName": "lab"}}
    )
    for region in REGIONS
]


@given(policies)
def test_each_site_follows_one_policy_and_the_others_that_want_it_are_told(given_policies):
    for site in SITES:
        claims = [each for each in given_policies if each.spec.site_selector.matches(site.metadata.labels)]
        found = {
            name_of(first) if first else None for order in permutations(claims) for first in [policy_for(site, order)]
        }
        assert len(found) == 1
        for each in claims:
            lost = lost_sites(each, SITES, given_policies)
            losers = {name for names in lost.values() for name in names}
            assert (site.metadata.name in losers) == (name_of(each) not in found)
