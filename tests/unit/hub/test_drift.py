"""Drift at the hub: a site's condition, a model's over its sites, limits on their way down, and no plan that cares."""

from dataclasses import fields
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_api.conditions import find
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.drift import DriftedColumn, DriftPolicy, DriftReport, DriftState
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.model import Model, ModelSpec
from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport
from skerry_core.drift.limits import DriftLimits
from skerry_core.store.memory import MemoryStore
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.model_drift import DriftTally
from skerry_operator.hub.model_facts import site_facts
from skerry_operator.hub.reconcile.model import ModelReconciler
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.hub.rollout.defaults import drift_limits, effective_model
from skerry_operator.hub.rollout.facts import SiteFacts, SiteReport
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, MODELS, SITE_ASSIGNMENTS
from tests.unit.hub.a_hub import NOW, make_hub, put

DIGEST = "sha256:" + "a" * 64
STATES = {
    state: DriftReport(state=state, digest=DIGEST, since=NOW, columns=columns, drifting_columns=len(columns))
    for state, columns in (
        (DriftState.COLLECTING, ()),
        (DriftState.STABLE, ()),
        (DriftState.DRIFTING, (DriftedColumn(name="x[1]", psi=0.9, limit=0.2),)),
    )
}
NAME = ("team", "har")


@pytest.fixture
def hub():
    hub = make_hub(MemoryKube(), MemoryStore())
    body = {"metadata": {"name": "har", "namespace": "team"}, "spec": {}}
    hub.inventory.observe(MODELS, "MODIFIED", hub.kube.apply(MODELS, body))
    return hub


def report(hub, site, drift):
    """What the link of a site puts into its assignment."""
    put(hub, EDGE_SITES, site, {"siteClassName": "lab", "hubAcceptsClient": True})
    told = ModelReport(
        namespace="team",
        model="har",
        phase=ModelPhase.SERVING,
        target_digest=DIGEST,
        serving_digest=DIGEST,
        drift=drift and STATES[drift],
    )
    metadata = {"name": "current", "namespace": f"skerry-site-{site}"}
    spec = {"envelope": "{}", "serial": {"incarnation": 1, "n": 1}, "models": []}
    status = {"reportedAt": NOW.isoformat(), "models": [told.to_wire()]}
    hub.kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "spec": spec})
    written = hub.kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "status": status}, "status")
    hub.inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", written)
    hub.dirty.mark([NAME], [site])


def model_condition(hub, reconcile):
    while reconcile(Key(MODELS, "team", "har")) == 0.0:
        pass
    return find(hub.inventory.get(Model, "har", "team").status.conditions, "Drifting")


def test_a_models_condition_follows_its_sites(hub):
    reconcile = ModelReconciler(hub)
    report(hub, "site-a", None)
    assert model_condition(hub, reconcile) is None
    report(hub, "site-a", DriftState.COLLECTING)
    assert model_condition(hub, reconcile).status is ConditionStatus.UNKNOWN
    report(hub, "site-b", DriftState.STABLE)
    assert model_condition(hub, reconcile).reason == "LikeValidationData"
    report(hub, "site-a", DriftState.DRIFTING)
    told = model_condition(hub, reconcile)
    assert (told.status, told.reason) == (ConditionStatus.TRUE, "SitesDrift")
    assert told.message == "at 1 of 2 sites: site-a: x[1] (PSI 0.9, at most 0.2)"
    report(hub, "site-a", DriftState.STABLE)
    assert model_condition(hub, reconcile).message == "at none of 2 sites"


def test_a_hub_that_starts_anew_counts_the_same(hub):
    report(hub, "site-a", DriftState.DRIFTING)
    before = model_condition(hub, ModelReconciler(hub))
    hub.dirty.mark([NAME], ["site-a"])
    assert model_condition(hub, ModelReconciler(hub)) == before


@pytest.mark.parametrize(
    ("drift", "status"),
    [
        (None, None),
        (DriftState.COLLECTING, ConditionStatus.UNKNOWN),
        (DriftState.STABLE, ConditionStatus.FALSE),
        (DriftState.DRIFTING, ConditionStatus.TRUE),
    ],
)
def test_a_sites_condition(hub, drift, status):
    report(hub, "site-a", drift)
    SiteReconciler(hub)(Key(EDGE_SITES, "", "site-a"))
    found = find(hub.inventory.get(EdgeSite, "site-a").status.conditions, "Drifting")
    assert (found and found.status) == status


def test_no_plan_sees_drift(hub):
    """What rollouts are planned from is the same whatever drifts, and has no place for it."""
    seen = []
    for drift in (None, *DriftState):
        report(hub, "site-a", drift)
        seen.append(site_facts(hub, hub.inventory.get(Model, "har", "team"), (), "site-a"))
    assert seen[1:] == seen[:-1]
    assert not [each.name for kind in (SiteFacts, SiteReport) for each in fields(kind) if "drift" in each.name]


stories = st.lists(
    st.tuples(st.sampled_from([f"site-{n}" for n in range(8)]), st.sampled_from([None, *DriftState])), max_size=40
)


@given(story=stories)
def test_feeding_changes_equals_a_recount(story):
    tally, recounted = DriftTally(), DriftTally()
    for site, state in story:
        tally.feed(site, state and STATES[state])
    for site, state in dict(story).items():
        recounted.feed(site, state and STATES[state])
    assert tally.condition() == recounted.condition()


def test_a_fleet_is_told_in_a_few_words():
    tally = DriftTally()
    for number in range(1000):
        tally.feed(f"site-{number}", STATES[DriftState.DRIFTING])
    told = tally.condition().message
    assert told.startswith("at 1000 of 1000 sites: ")
    assert told.endswith("; and 995 more")
    assert len(told) < 1024


@pytest.mark.parametrize("given_", [{}, {"maxPsi": 0.5}, {"windows": 12, "ignoredColumns": ["x[1]"]}])
def test_limits_are_resolved(given_):
    policy = DriftPolicy.model_validate(given_)
    limits = drift_limits(policy)
    assert limits == DriftLimits.model_validate(DriftLimits().to_wire() | given_)
    assert effective_model("har", ModelSpec(drift=policy)).drift.to_wire() == limits.to_wire()


def test_descriptions_say_the_defaults_that_sites_have():
    limits = DriftLimits().to_wire()
    for field in DriftPolicy.model_fields.values():
        if field.alias != "ignoredColumns":
            assert field.description.endswith(f" Default: {limits[field.alias]}.")
    assert DriftLimits().interval == timedelta(minutes=10)
