"""An EdgeSite's status: pure, from its spec, its assignment and its last report."""

from datetime import datetime, timedelta

from skerry_api.conditions import Observation, Outcome, Progressing, Ready, Waiting, conditions_for
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.edgesite import EdgeSite, EdgeSiteStatus, ServedModel
from skerry_api.v1alpha1.siteassignment import ModelPhase, SiteAssignmentStatus
from skerry_core.drift.report import condition_of
from skerry_operator.hub.inventory import SiteRecord
from skerry_operator.hub.site_namespace import namespace_of

# Writing each heartbeat down would double the load of sites on the API server; a restart may forget this much.
LAST_SEEN_STEP = timedelta(seconds=30)
_SUMMARY_LENGTH = 1024
_FAILED = {ModelPhase.ROLLED_BACK, ModelPhase.REFUSED, ModelPhase.STALLED}


def site_status(
    site: EdgeSite,
    record: SiteRecord | None,
    *,
    last_seen: datetime | None,
    max_age: timedelta,
    trouble: Outcome | None,
    credential_expires: datetime | None,
    fed: Observation | None = None,
    now: datetime,
) -> EdgeSiteStatus:
    """The whole status; `trouble` is what kept the reconcile from its end, `max_age` how old a report may be.

    `fed` says whether events reach the feature sets that the site was told to compute; None if there are none.
    """
    report = record.assignment.status if record else SiteAssignmentStatus()
    reachable = last_seen is not None and now - last_seen <= max_age
    serving = tuple(
        ServedModel(
            namespace=model.namespace,
            model=model.model,
            version=model.serving_version,
            digest=model.serving_digest,
            phase=model.phase,
        )
        for model in report.models
    )
    remembered = site.status.last_seen
    if last_seen and remembered and reachable and timedelta() <= last_seen - remembered < LAST_SEEN_STEP:
        last_seen = remembered
    generation = site.metadata.generation
    outcome = trouble or _outcome(site, record, report, serving=serving, reachable=reachable)
    return EdgeSiteStatus(
        observed_generation=generation,
        conditions=conditions_for(
            outcome,
            generation=generation,
            now=now,
            previous=site.status.conditions,
            extra=filter(
                None,
                (
                    _reachable(reachable=reachable, last_seen=last_seen, max_age=max_age),
                    condition_of(report.models),
                    fed,
                ),
            ),
        ),
        namespace=namespace_of(site.metadata.name),
        last_seen=last_seen,
        serving=serving,
        summary=summary(serving),
        assigned_serial=record.assignment.spec.serial if record else site.status.assigned_serial,
        observed_serial=report.observed_serial,
        credential_expires=credential_expires or site.status.credential_expires,
        queue_depth=report.queue_depth,
    )


def summary(serving: tuple[ServedModel, ...]) -> str:
    """What answers requests, in one line: `har 1.1.0, gait 2.0.1 (Canary)`."""
    parts = []
    for model in serving:
        phase = "" if model.phase is ModelPhase.SERVING else f" ({model.phase})"
        parts.append(f"{model.model} {model.version or 'none'}{phase}")
    return ", ".join(parts)[:_SUMMARY_LENGTH]


def _reachable(*, reachable: bool, last_seen: datetime | None, max_age: timedelta) -> Observation:
    if reachable:
        return Observation("Reachable", ConditionStatus.TRUE, "Reporting", "reports come in")
    if last_seen is None:
        return Observation(
            "Reachable", ConditionStatus.UNKNOWN, "NeverSeen", "no report yet: install skerry-site there"
        )
    age = f"no report within {max_age.total_seconds():.0f} s; the site goes on with what it has"
    return Observation("Reachable", ConditionStatus.FALSE, "Silent", age)


def _outcome(
    site: EdgeSite,
    record: SiteRecord | None,
    report: SiteAssignmentStatus,
    *,
    serving: tuple[ServedModel, ...],
    reachable: bool,
) -> Outcome:
    if not site.spec.hub_accepts_client:
        return Waiting("NotAccepted", "set spec.hubAcceptsClient to true to let the site in")
    if not reachable:
        return Waiting("Unreachable", "waiting for the site to report")
    if record is None or report.observed_serial != record.assignment.spec.serial:
        return Progressing("Assigning", "the site has not taken the newest assignment yet")
    for model in report.models:
        if model.phase in _FAILED:
            detail = model.message or model.reason
            return Waiting(str(model.phase), f"{model.namespace}/{model.model}: {detail}")
        if model.phase is not ModelPhase.SERVING:
            return Progressing(str(model.phase), f"{model.namespace}/{model.model}: {model.message or 'on its way'}")
    return Ready("Serving", summary(serving) or "nothing is assigned")
