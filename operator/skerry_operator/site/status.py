"""The site's whole report, from its view and what stands in its way. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from skerry_api.conditions import Observation, Outcome, Progressing, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport, SiteAssignmentStatus
from skerry_core.drift.report import condition_of
from skerry_core.errors import SkerryError, UserMustActError
from skerry_core.verdict.port import Judge
from skerry_operator.link.health import LinkState
from skerry_operator.site.merge import SiteView, merge_reports

HUB_REACHABLE = "HubReachable"

_SETTLED = (ModelPhase.SERVING, ModelPhase.ROLLED_BACK)


@dataclass(frozen=True)
class Circumstances:
    """What surrounds the view: the mirror's generation, the link, and the error that keeps the site from its spec."""

    generation: int
    link: LinkState
    site_version: str
    trouble: SkerryError | None = None


def site_status(
    view: SiteView, before: SiteAssignmentStatus, around: Circumstances, judge: Judge, now: datetime
) -> SiteAssignmentStatus:
    """Compute the report; `before` is the one that the mirror holds."""
    models = merge_reports(view, judge, now)
    ready = sum(node.ready for node in view.nodes)
    reachable = Observation(
        HUB_REACHABLE,
        ConditionStatus.TRUE if around.link.reachable else ConditionStatus.FALSE,
        around.link.reason,
        around.link.message,
    )
    return SiteAssignmentStatus(
        observed_generation=around.generation,
        observed_serial=view.document.serial if view.document is not None else before.observed_serial,
        conditions=conditions_for(
            _outcome(models, len(view.nodes), ready, around.trouble),
            generation=around.generation,
            now=now,
            previous=before.conditions,
            extra=(reachable, *filter(None, (condition_of(models),))),
        ),
        reported_at=now,
        site_version=around.site_version,
        nodes=len(view.nodes),
        nodes_ready=ready,
        queue_depth=sum(node.queue_depth for node in view.nodes),
        models=models,
    )


def _outcome(models: Iterable[ModelReport], nodes: int, ready: int, trouble: SkerryError | None) -> Outcome:
    if trouble is not None:
        state = Stalled if isinstance(trouble, UserMustActError) else Waiting
        return state(trouble.reason, str(trouble))
    models = tuple(models)
    if refused := _first(models, ModelPhase.REFUSED):
        return Stalled(refused.reason or "ModelRefused", _about(refused))
    if not ready:
        return Waiting("NoNodeReady", f"none of {nodes} runtime pods is ready: look at the pods in skerry-runtime")
    if stalled := _first(models, ModelPhase.STALLED):
        return Waiting(stalled.reason or "ModelStalled", _about(stalled))
    unsettled = [report for report in models if report.phase not in _SETTLED]
    if unsettled:
        return Progressing("ModelsProgressing", "; ".join(f"{_name(r)}: {r.phase}" for r in unsettled))
    return Ready("Serving", "")


def _first(models: Iterable[ModelReport], phase: ModelPhase) -> ModelReport | None:
    return next((report for report in models if report.phase is phase), None)


def _name(report: ModelReport) -> str:
    return f"{report.namespace}/{report.model}"


def _about(report: ModelReport) -> str:
    return f"{_name(report)}: {report.message}"
