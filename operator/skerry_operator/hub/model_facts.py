"""Reads the facts of one model's rollout from the inventory; what comes out is all that plans see."""

from collections.abc import Sequence

from skerry_api.v1alpha1.drift import DriftReport
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.model import ApprovedRelease, Model
from skerry_api.v1alpha1.modelrelease import ModelRelease, ReleasePhase
from skerry_api.v1alpha1.quarantine import Quarantine
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_api.v1alpha1.siteassignment import ModelReport, SiteAssignmentStatus
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub.compose import target_of
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.placement import is_removed, runs_at
from skerry_operator.hub.rollout.facts import ModelFacts, QuarantineFacts, ReleaseFacts, SiteFacts, SiteReport
from skerry_operator.hub.rollout.ring_membership import ring_of
from skerry_operator.hub.targets import ModelName


def name_of(model: Model) -> ModelName:
    """Namespace and name."""
    return (model.metadata.namespace or "", model.metadata.name)


def releases_of(hub: Hub, model: ModelName) -> list[ModelRelease]:
    """The model's releases, whatever their state."""
    return [
        release
        for release in hub.inventory.all(ModelRelease)
        if (release.metadata.namespace, release.spec.model) == model
    ]


def facts_of(hub: Hub, model: Model) -> ModelFacts:
    """The model as plans see it: releases that aren't verified, or are refused, aren't there for them."""
    name = name_of(model)
    verified = (
        release
        for release in releases_of(hub, name)
        if release.status.signature and release.status.phase is not ReleasePhase.REFUSED
    )
    quarantines = (
        item.spec for item in hub.inventory.all(Quarantine) if (item.spec.namespace, item.spec.model) == name
    )
    return ModelFacts(
        namespace=name[0],
        name=name[1],
        approved=_ref_of_approved(model.status.approved),
        previous=_ref_of_approved(model.status.previous),
        releases=tuple(sorted(map(_release, verified), key=lambda release: release.ref.release)),
        quarantines=tuple(
            sorted(
                (
                    QuarantineFacts(spec.digest, spec.scope, spec.since, spec.reason, frozenset(spec.sites))
                    for spec in quarantines
                ),
                key=lambda fact: fact.digest,
            )
        ),
    )


def ref_of(release: ModelRelease) -> ReleaseRef:
    """A verified release by its digests."""
    assert release.status.signature is not None
    return ReleaseRef(
        release=release.metadata.name,
        version=release.spec.version,
        digest=release.spec.digest,
        signature=release.status.signature,
    )


def site_facts(hub: Hub, model: Model, rings: Sequence[RolloutRing], site_name: str) -> SiteFacts | None:
    """One site as the model's rollout sees it; None if the model was never for it, or is to go from it."""
    site = hub.inventory.get(EdgeSite, site_name)
    record = hub.inventory.record(site_name)
    name = name_of(model)
    entry = record.entry(*name) if record else None
    if site is not None and is_removed(model, site):
        return None
    told = hub.targets.of(site_name).get(name) or (target_of(entry) if entry else None)
    takes_part = site is not None and runs_at(model, site)
    if told is None and not takes_part:
        return None
    return SiteFacts(
        name=site_name,
        ring=ring_of(site.metadata.labels, rings) if site and takes_part else None,
        hold=site is not None and site.spec.hold,
        last_seen=hub.inventory.last_seen(site_name),
        assigned=told,
        report=_report(record.assignment.status, name) if record else None,
    )


def drift_of(hub: Hub, model: ModelName, site_name: str) -> DriftReport | None:
    """What a site says of the model's drift; kept apart from what plans see."""
    record = hub.inventory.record(site_name)
    models = record.assignment.status.models if record else ()
    return next((report.drift for report in models if (report.namespace, report.model) == model), None)


def holds_what_goes(hub: Hub, model: Model, site_name: str) -> bool | None:
    """Whether a site is still told of the model that it is to give up, or reports it; None if it isn't to."""
    site, record = hub.inventory.get(EdgeSite, site_name), hub.inventory.record(site_name)
    if site is None or not is_removed(model, site):
        return None
    name = name_of(model)
    return record is not None and (name in record.held() or record.entry(*name) is not None)


def _report(status: SiteAssignmentStatus, name: ModelName) -> SiteReport | None:
    found: ModelReport | None = next(
        (report for report in status.models if (report.namespace, report.model) == name), None
    )
    if found is None:
        return None
    since, at = found.serving_since, status.reported_at
    return SiteReport(
        phase=found.phase,
        target_digest=found.target_digest,
        serving_digest=found.serving_digest,
        # Both by the site's clock: the hub's may differ by days. A clock that was set back gives no time at all.
        **({"serving_for": at - since} if since and at and at > since else {}),
        quarantined=found.quarantined,
        failed_metric=found.failed_metric,
        reason=found.reason,
        message=found.message,
    )


def _release(release: ModelRelease) -> ReleaseFacts:
    status = release.status
    return ReleaseFacts(
        ref=ref_of(release),
        phase=status.phase,
        paused=release.spec.paused,
        started=status.started_at is not None,
        completed=frozenset(ring.name for ring in status.rings if ring.completed_at),
    )


def _ref_of_approved(approved: ApprovedRelease | None) -> ReleaseRef | None:
    if approved is None:
        return None
    return ReleaseRef(
        release=approved.release, version=approved.version, digest=approved.digest, signature=approved.signature
    )
