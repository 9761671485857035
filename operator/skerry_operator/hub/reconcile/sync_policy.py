"""SyncPolicy: resolve it, put it where sites can fetch it, and tell the sites that follow it.

A site follows the policy that was created first of those that select it. What it was told stays until a policy that
claims it is published: deleting a SyncPolicy, narrowing its selector or breaking it takes nothing away from any site
(law 2), least of all the rules of consent and privacy. To end a policy's rules, let another one claim its sites; one
that says nothing but its selector brings the defaults back.
"""

from skerry_api.conditions import Outcome, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.syncpolicy import SyncPolicy, SyncPolicyStatus
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.store.blobs import put_bytes
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.sync_policy.check import publishable
from skerry_operator.hub.sync_policy.claims import PolicyName, lost_sites, name_of, policy_for
from skerry_operator.hub.sync_policy.resolve import effective_policy
from skerry_operator.kube.resources import EDGE_SITES, FEATURE_SETS

_PATIENT = 15.0
# How soon to count again, while sites have not taken the policy yet.
_RECOUNT = 15.0
_NAMED = 5


def reconcile_sync_policy(hub: Hub, key: Key) -> float | None:
    """Publish a policy, write its status, and have the sites that follow it told."""
    policy = hub.inventory.get(SyncPolicy, key.name, key.namespace)
    if policy is None:
        return None
    policies = list(hub.inventory.all(SyncPolicy))
    sites = list(hub.inventory.all(EdgeSite))
    followers = [
        site.metadata.name
        for site in sites
        if (first := policy_for(site, policies)) and name_of(first) == name_of(policy)
    ]
    lost = lost_sites(policy, sites, policies)
    digest, effective = policy.status.digest, policy.status.effective
    trouble: Outcome | None = None
    try:
        offered = effective_policy(policy.spec)
        # Sites fetch it by its digest, so it must be there before the first of them hears of it.
        digest, effective = put_bytes(hub.store, publishable(offered)).digest, offered
    except UserMustActError as error:
        trouble = Stalled(error.reason, str(error))
    except WaitError as error:
        trouble = Waiting(error.reason, str(error))
    updated = sum(_has_taken(hub, site, digest) for site in followers)
    generation = policy.metadata.generation
    status = SyncPolicyStatus(
        observed_generation=generation,
        conditions=conditions_for(
            trouble or _outcome(len(followers), updated, lost),
            generation=generation,
            now=hub.now(),
            previous=policy.status.conditions,
        ),
        digest=digest,
        sites=len(followers),
        updated_sites=updated,
        effective=effective,
    )
    hub.statuses.write(policy, status)
    if digest != policy.status.digest:
        for site in followers:
            hub.enqueue(Key(EDGE_SITES, "", site), 0)
        for feature_set in hub.inventory.all(FeatureSet):
            # Their streams may be declared by now, or no longer.
            hub.enqueue(Key(FEATURE_SETS, feature_set.metadata.namespace or "", feature_set.metadata.name), 0)
    if trouble is not None:
        return _PATIENT
    return None if updated == len(followers) else _RECOUNT


def _outcome(sites: int, updated: int, lost: dict[PolicyName, list[str]]) -> Outcome:
    if lost:
        taken = "; ".join(f"{_some(names)} by {'/'.join(winner)}" for winner, names in lost.items())
        return Stalled(
            "SitesTaken",
            f"claimed before by another SyncPolicy: {taken}. Choose other sites in spec.siteSelector, there or here",
        )
    if not sites:
        return Ready(message="published; no site follows it: spec.siteSelector matches no EdgeSite")
    return Ready(message=f"published; {sites} sites follow it, {updated} of them have taken it")


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _has_taken(hub: Hub, site: str, digest: str | None) -> bool:
    record = hub.inventory.record(site)
    return (
        record is not None
        and record.document is not None
        and record.document.sync_policy == digest
        and record.assignment.status.observed_serial == record.assignment.spec.serial
    )
