"""A model's removal: what sites are told of it, what plans see, and how far it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.conditions import find
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport
from skerry_core.assignment.document import RemovedModel
from skerry_core.store.memory import MemoryStore
from skerry_core.trust.policy import PolicyDocument
from skerry_operator.hub.compose import ModelPolicy
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.model_facts import site_facts
from skerry_operator.hub.model_removal import RemovalTally
from skerry_operator.hub.reconcile.model import ModelReconciler
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.hub.rollout.defaults import analysis_limits
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, MODELS, SITE_ASSIGNMENTS, SITE_CLASSES
from tests.unit.hub.a_hub import NOW, make_hub, put
from tests.unit.hub.rollout_world import told
from tests.unit.hub.test_compose import composed

HAR, GAIT = ("factory", "har"), ("factory", "gait")
BOTH = {HAR: told("1.0.0"), GAIT: told("2.0.0")}
POLICIES = {name: ModelPolicy(name[1], analysis_limits(None)) for name in BOTH}
EVERYWHERE = {"matchExpressions": [{"key": "keeps-models", "operator": "DoesNotExist"}]}
WEST = {"matchLabels": {"region": "west"}}


def removal(name):
    return RemovedModel(namespace=name[0], name=name[1])


def names(document):
    return {(each.namespace, each.name) for each in document.models}


# What a site is told


def test_a_model_to_be_removed_is_named_and_has_no_entry():
    first = composed(told=BOTH, policies=POLICIES)
    second = composed(first, policies=POLICIES, removed={HAR})
    assert (names(second), second.removals) == ({GAIT}, (removal(HAR),))
    assert second.serial.key() > first.serial.key()


def test_what_a_plan_told_before_the_removal_counts_no_more():
    first = composed(told=BOTH, policies=POLICIES)
    second = composed(first, policies=POLICIES, removed={HAR}, told={HAR: told("1.1.0")})
    assert names(second) == {GAIT}


def test_a_removal_stays_until_the_model_is_assigned_again():
    """A node that was away for days has yet to read it, whatever became of the Model."""
    removed = composed(composed(told=BOTH, policies=POLICIES), policies=POLICIES, removed={HAR})
    assert composed(removed, policies={GAIT: POLICIES[GAIT]}) is removed
    again = composed(removed, policies=POLICIES, told={HAR: told("1.0.0")})
    assert (names(again), again.removals) == ({HAR, GAIT}, ())


def test_only_what_the_site_was_told_of_or_has_is_removed():
    assert composed(removed={HAR}).removals == ()
    # A hub that has lost what it told the site knows what is there from the site's report.
    assert composed(removed={HAR}, held={HAR, GAIT}).removals == (removal(HAR),)


# The hub


@pytest.fixture
def hub():
    hub = make_hub(MemoryKube(), MemoryStore())
    hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), "sha256:" + "5" * 64)
    put(hub, SITE_CLASSES, "lab", {"image": "skerry-edge:0.1.0"})
    for site, region in (("site-a", "west"), ("site-b", "east")):
        body = {
            "metadata": {"name": site, "labels": {"region": region}},
            "spec": {"siteClassName": "lab", "hubAcceptsClient": True},
        }
        hub.inventory.observe(EDGE_SITES, "MODIFIED", hub.kube.apply(EDGE_SITES, body))
    want(hub)
    return hub


def want(hub, remove_from=None, **spec):
    body = {"metadata": {"name": "har", "namespace": "factory"}, "spec": {"removeFrom": remove_from, **spec}}
    hub.inventory.observe(MODELS, "MODIFIED", hub.kube.apply(MODELS, body))
    hub.dirty.mark([HAR], ["site-a", "site-b"])


def reconcile(hub, site="site-a"):
    SiteReconciler(hub)(Key(EDGE_SITES, "", site))
    return hub.inventory.record(site).document


def report(hub, site, *models):
    told = [ModelReport(namespace=HAR[0], model=name, phase=ModelPhase.SERVING).to_wire() for name in models]
    metadata = {"name": "current", "namespace": f"skerry-site-{site}"}
    body = {"metadata": metadata, "status": {"reportedAt": NOW.isoformat(), "models": told}}
    hub.inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", hub.kube.apply(SITE_ASSIGNMENTS, body, "status"))
    hub.dirty.mark([HAR], [site])


def condition(hub, reconciler):
    while reconciler(Key(MODELS, *HAR)) == 0.0:
        pass
    return find(hub.inventory.get(Model, "har", "factory").status.conditions, "Removed")


def test_the_hub_removes_a_model_from_the_sites_that_are_named(hub):
    for site in ("site-a", "site-b"):
        hub.targets.tell(site, HAR, told("1.0.0"))
        assert names(reconcile(hub, site)) == {HAR}
    want(hub, WEST)
    hub.targets.tell("site-a", HAR, told("1.1.0"))
    assert reconcile(hub).removals == (removal(HAR),)
    assert hub.targets.of("site-a") == {}
    assert names(reconcile(hub, "site-b")) == {HAR}


def test_no_plan_counts_a_site_that_gives_the_model_up(hub):
    want(hub, WEST)
    model = hub.inventory.get(Model, "har", "factory")
    assert site_facts(hub, model, (), "site-a") is None
    assert site_facts(hub, model, (), "site-b") is not None


def test_the_model_says_who_still_has_it(hub):
    reconciler = ModelReconciler(hub)
    for site in ("site-a", "site-b"):
        reconcile(hub, site)
        report(hub, site, "har", "gait")
    assert condition(hub, reconciler) is None
    want(hub, EVERYWHERE)
    assert condition(hub, reconciler).message == "2 of 2 sites still have it: site-a, site-b"
    report(hub, "site-a", "gait")
    found = condition(hub, reconciler)
    assert (found.status, found.reason) == (ConditionStatus.FALSE, "StillHeld")
    report(hub, "site-b")
    found = condition(hub, reconciler)
    assert (found.status, found.reason, found.message) == (ConditionStatus.TRUE, "Gone", "none of 2 sites has it")
    want(hub)
    assert condition(hub, reconciler) is None


def test_a_site_that_is_still_told_of_the_model_counts_as_holding_it(hub):
    """It may never have reported it, and would serve it when it is back."""
    hub.targets.tell("site-a", HAR, told("1.0.0"))
    reconcile(hub)
    want(hub, WEST)
    reconciler = ModelReconciler(hub)
    assert condition(hub, reconciler).reason == "StillHeld"
    reconcile(hub)
    hub.dirty.mark([HAR], ["site-a"])
    assert condition(hub, reconciler).reason == "Gone"


def test_a_model_that_nothing_goes_out_of_says_it_too_and_after_a_restart(hub):
    reconcile(hub)
    report(hub, "site-a", "har")
    want(hub, WEST, rings=["nowhere"])
    before = condition(hub, ModelReconciler(hub))
    assert before.reason == "StillHeld"
    hub.dirty.mark([HAR], ["site-a", "site-b"])
    assert condition(hub, ModelReconciler(hub)) == before


def test_many_sites_are_told_in_a_few_words():
    tally = RemovalTally()
    for n in range(7):
        tally.feed(f"site-{n}", holds=True)
    said = "7 of 7 sites still have it: site-0, site-1, site-2, site-3, site-4, and 2 more"
    assert tally.condition().message == said


stories = st.lists(st.tuples(st.sampled_from("abcdef"), st.sampled_from([None, False, True])), max_size=30)


@given(story=stories)
def test_feeding_changes_equals_a_recount(story):
    tally, recounted = RemovalTally(), RemovalTally()
    for site, holds in story:
        tally.feed(site, holds=holds)
    for site, holds in dict(story).items():
        recounted.feed(site, holds=holds)
    assert tally.condition() == recounted.condition()
