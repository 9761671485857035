"""RolloutRing and SiteClass: resolved policy, and how many sites each has."""

from skerry_api.conditions import Ready, conditions_for
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.rolloutring import RolloutRing, RolloutRingStatus
from skerry_api.v1alpha1.siteclass import SiteClass, SiteClassStatus
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.rollout.defaults import effective_ring


def reconcile_ring(hub: Hub, key: Key) -> float | None:
    """Write a ring's status; `sites` counts what its selector takes (per model, an earlier ring may take it first)."""
    ring = hub.inventory.get(RolloutRing, key.name)
    if ring is None:
        return None
    sites = sum(ring.spec.site_selector.matches(site.metadata.labels) for site in hub.inventory.all(EdgeSite))
    generation = ring.metadata.generation
    status = RolloutRingStatus(
        observed_generation=generation,
        conditions=conditions_for(
            Ready(message=f"takes {sites} sites"),
            generation=generation,
            now=hub.now(),
            previous=ring.status.conditions,
        ),
        sites=sites,
        effective=effective_ring(ring.spec),
    )
    hub.statuses.write(ring, status)
    return None


def reconcile_site_class(hub: Hub, key: Key) -> float | None:
    """Write a class's status."""
    site_class = hub.inventory.get(SiteClass, key.name)
    if site_class is None:
        return None
    sites = sum(site.spec.site_class_name == key.name for site in hub.inventory.all(EdgeSite))
    generation = site_class.metadata.generation
    outcome = Ready(message=f"{sites} sites are of this class")
    conditions = conditions_for(outcome, generation=generation, now=hub.now(), previous=site_class.status.conditions)
    hub.statuses.write(site_class, SiteClassStatus(observed_generation=generation, conditions=conditions, sites=sites))
    return None
