"""One site at the hub: let in, told, shut out, and put right after somebody removed what is its own."""

import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_core.store.memory import MemoryStore
from skerry_core.trust.policy import PolicyDocument
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.kube.errors import NotServedError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, NAMESPACES, ROLE_BINDINGS, SITE_ASSIGNMENTS, SITE_CLASSES
from tests.unit.hub.a_hub import NOW, make_hub, put

SPACE = "skerry-site-site-a"
KEY = Key(EDGE_SITES, "", "site-a")


class Namespaced(MemoryKube):
    """Refuses what is in a namespace that isn't there, and counts deletions."""

    def __init__(self):
        super().__init__()
        self.deleted = []

    def apply(self, resource, body, subresource=""):
        self._demand(resource, body)
        return super().apply(resource, body, subresource)

    def create(self, resource, body):
        self._demand(resource, body)
        return super().create(resource, body)

    def delete(self, resource, name, namespace=None):
        self.deleted.append((resource, name))
        super().delete(resource, name, namespace)

    def remove_namespace(self):
        for resource, name in ((ROLE_BINDINGS, "skerry-site"), (SITE_ASSIGNMENTS, "current")):
            super().delete(resource, name, SPACE)
        super().delete(NAMESPACES, SPACE)

    def _demand(self, resource, body):
        space = body["metadata"].get("namespace")
        if space is not None and self.get(NAMESPACES, space) is None:
            raise NotServedError("NotFound", f"no namespace {space}")


@pytest.fixture
def kube():
    return Namespaced()


@pytest.fixture
def hub(kube):
    hub = make_hub(kube, MemoryStore())
    hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), "sha256:" + "5" * 64)
    put(hub, SITE_CLASSES, "lab", {"image": "skerry-edge:0.1.0"})
    return hub


def accept(hub, *, accepted=True):
    put(hub, EDGE_SITES, "site-a", {"siteClassName": "lab", "hubAcceptsClient": accepted})


def binding(kube):
    return kube.get(ROLE_BINDINGS, "skerry-site", SPACE)


def test_a_site_that_is_let_in_gets_its_place_and_its_assignment(hub, kube):
    accept(hub)
    SiteReconciler(hub)(KEY)
    assert binding(kube)
    assert kube.get(SITE_ASSIGNMENTS, "current", SPACE)["spec"]["serial"] == {"incarnation": 1, "n": 1}


def test_access_ends_also_for_a_site_that_was_never_told_anything(hub, kube):
    hub.trust.active = None
    accept(hub)
    reconcile = SiteReconciler(hub)
    reconcile(KEY)
    assert binding(kube)
    assert hub.inventory.record("site-a") is None
    accept(hub, accepted=False)
    reconcile(KEY)
    assert binding(kube) is None


def test_access_that_ended_while_the_hub_was_away_is_removed_once(hub, kube):
    accept(hub)
    SiteReconciler(hub)(KEY)
    hub.inventory.observe(SITE_ASSIGNMENTS, "DELETED", kube.get(SITE_ASSIGNMENTS, "current", SPACE))
    hub.inventory.observe(EDGE_SITES, "DELETED", kube.get(EDGE_SITES, "site-a"))
    after_restart = SiteReconciler(hub)
    after_restart(KEY)
    after_restart(KEY)
    assert binding(kube) is None
    assert kube.deleted == [(ROLE_BINDINGS, "skerry-site")]


def test_a_site_may_come_and_go_as_often_as_somebody_likes(hub, kube):
    reconcile = SiteReconciler(hub)
    for accepted in (True, False, True, False):
        accept(hub, accepted=accepted)
        reconcile(KEY)
        assert bool(binding(kube)) is accepted


def test_a_namespace_that_was_deleted_is_made_again(hub, kube):
    accept(hub)
    reconcile = SiteReconciler(hub)
    reconcile(KEY)
    gone = kube.get(SITE_ASSIGNMENTS, "current", SPACE)
    kube.remove_namespace()
    hub.inventory.observe(SITE_ASSIGNMENTS, "DELETED", gone)
    assert reconcile(KEY) <= 10
    assert find(hub.inventory.get(EdgeSite, "site-a").status.conditions, "Ready").reason == "NotFound"
    reconcile(KEY)
    assert binding(kube)
    assert kube.get(SITE_ASSIGNMENTS, "current", SPACE)["spec"]["serial"]["n"] > gone["spec"]["serial"]["n"]
