"""Which trust policy counts, also after a restart of the hub."""

from dataclasses import replace

import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.siteassignment import SiteAssignment
from skerry_api.v1alpha1.trustpolicy import TrustPolicy
from skerry_core.store.blobs import blob_key
from skerry_core.store.errors import StoreUnavailableError
from skerry_core.store.memory import MemoryStore
from skerry_core.trust.keys import generate_key_pair
from skerry_core.trust.policy import PolicyDocument
from skerry_core.trust.policy_envelope import seal_policy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.hub.reconcile.trust_policy import recall, reconcile_trust_policy
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, SITE_ASSIGNMENTS, SITE_CLASSES, TRUST_POLICIES
from tests.unit.hub.a_hub import NOW, POLICY_KEY, make_hub, put

KEY = Key(TRUST_POLICIES, "", "fleet")
SITE = Key(EDGE_SITES, "", "site-a")


class Store(MemoryStore):
    down = False

    def get(self, *args, **kwargs):
        if self.down:
            raise StoreUnavailableError("no route")
        return super().get(*args, **kwargs)


@pytest.fixture
def kube():
    return MemoryKube()


@pytest.fixture
def store():
    return Store()


def envelope(serial, key=POLICY_KEY):
    return seal_policy(PolicyDocument(serial=serial, issued_at=NOW, bindings=()), key.private_pem)


def offer(hub, serial):
    put(hub, TRUST_POLICIES, "fleet", {"envelope": envelope(serial)})
    reconcile_trust_policy(hub, KEY)
    return find(hub.inventory.get(TrustPolicy, "fleet").status.conditions, "Ready").reason


@pytest.fixture
def told(kube, store):
    """A hub that has told a site to follow policy 5."""
    hub = make_hub(kube, store)
    put(hub, SITE_CLASSES, "lab", {"image": "skerry-edge:0.1.0"})
    put(hub, EDGE_SITES, "site-a", {"siteClassName": "lab", "hubAcceptsClient": True})
    offer(hub, 5)
    SiteReconciler(hub)(SITE)
    return hub


def restarted(kube, store, queued=None):
    hub = make_hub(kube, store, queued)
    for resource in (SITE_CLASSES, EDGE_SITES, SITE_ASSIGNMENTS, TRUST_POLICIES):
        hub.inventory.replace(resource, kube.list(resource))
    return hub


@pytest.mark.parametrize("anew", [False, True], ids=["edited", "deleted and made anew"])
def test_an_older_policy_is_refused_also_after_a_restart(told, kube, store, anew):
    if anew:
        kube.delete(TRUST_POLICIES, "fleet")
    hub = restarted(kube, store)
    assert offer(hub, 4) == "SerialOlder"
    assert hub.trust.active.document.serial == 5
    assert offer(hub, 6) == "Succeeded"
    assert hub.trust.active.document.serial == 6


def test_a_deleted_policy_binds_also_after_a_restart(told, kube, store):
    kube.delete(TRUST_POLICIES, "fleet")
    queued = []
    hub = restarted(kube, store, queued)
    recall(hub)
    assert hub.trust.active.document.serial == 5
    assert SITE in queued
    before = hub.inventory.get(SiteAssignment, "current", "skerry-site-site-a")
    SiteReconciler(hub)(SITE)
    assert hub.inventory.get(SiteAssignment, "current", "skerry-site-site-a") == before


def test_nothing_counts_before_the_store_told_what_counted(told, kube, store):
    hub = restarted(kube, store)
    store.down = True
    assert offer(hub, 4) == "StoreUnavailable"
    assert hub.trust.active is None
    store.down = False
    assert offer(hub, 4) == "SerialOlder"


def test_a_store_that_lost_the_policy_does_not_lock_the_hub(told, kube, store):
    (record,) = told.inventory.records()
    store.delete(blob_key(record.document.trust_policy))
    assert offer(restarted(kube, store), 1) == "Succeeded"


def test_a_policy_of_an_earlier_policy_key_counts_no_longer(told, kube, store):
    hub = replace(restarted(kube, store), policy_key=generate_key_pair().public_pem)
    recall(hub)
    assert hub.trust.active is None
    assert hub.trust.recalled
