"""Which SyncPolicy each site follows: of those that select it, the one that was created first. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime

from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.syncpolicy import SyncPolicy

PolicyName = tuple[str, str]
"""Namespace and name."""


def name_of(policy: SyncPolicy) -> PolicyName:
    """Namespace and name."""
    return (policy.metadata.namespace or "", policy.metadata.name)


def policy_for(site: EdgeSite, policies: Iterable[SyncPolicy]) -> SyncPolicy | None:
    """The policy that a site follows; None if none selects it.

    The first claim wins also while its policy can't be used: an error in an edit must not hand its sites to a policy
    that was not meant for them.
    """
    claims = (policy for policy in policies if policy.spec.site_selector.matches(site.metadata.labels))
    return min(claims, key=_age, default=None)


def lost_sites(
    policy: SyncPolicy, sites: Iterable[EdgeSite], policies: Iterable[SyncPolicy]
) -> dict[PolicyName, list[str]]:
    """The sites that a policy selects and others have, sorted, by those others' names."""
    policies = list(policies)
    lost: dict[PolicyName, list[str]] = {}
    for site in sites:
        if policy.spec.site_selector.matches(site.metadata.labels):
            winner = policy_for(site, policies)
            if winner is not None and name_of(winner) != name_of(policy):
                lost.setdefault(name_of(winner), []).append(site.metadata.name)
    return {name: sorted(lost[name]) for name in sorted(lost)}


def _age(policy: SyncPolicy) -> tuple[datetime, PolicyName]:
    return (policy.metadata.creation_timestamp or datetime.max.replace(tzinfo=UTC), name_of(policy))
