"""Many nodes' reports of one model as the site's report. Pure: nothing here asks a node, a clock or an API server."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import EvidenceSummary, ModelPhase, ModelReport
from skerry_core.assignment.document import AssignmentDocument, ModelAssignment
from skerry_core.drift.report import of_site
from skerry_core.evidence.histogram import merge, quantile
from skerry_core.verdict.port import Judge
from skerry_operator.site.judgement import BadDigest, accused_by_evidence, accused_by_nodes, accuses, carries
from skerry_operator.site.views import NodeView

_MAX_QUARANTINED = 64

# Least advanced first. A node that can't go on comes before all: its reason is what a person needs to see.
_ADVANCE = (
    ModelPhase.STALLED,
    ModelPhase.REFUSED,
    ModelPhase.ROLLED_BACK,
    ModelPhase.WAITING,
    ModelPhase.DOWNLOADING,
    ModelPhase.VERIFYING,
    ModelPhase.LOADING,
    ModelPhase.CANARY,
    ModelPhase.SERVING,
)


@dataclass(frozen=True)
class SiteView:
    """Everything the site's report follows from. `before` is the report before this one, as the mirror keeps it."""

    site: str
    document: AssignmentDocument | None
    nodes: tuple[NodeView, ...]
    before: tuple[ModelReport, ...] = ()

    @property
    def voters(self) -> tuple[NodeView, ...]:
        """The nodes that count: those that answer requests, or all if none does."""
        return tuple(view for view in self.nodes if view.ready) or self.nodes


def merge_reports(view: SiteView, judge: Judge, now: datetime) -> tuple[ModelReport, ...]:
    """Give the site's report of every model that is assigned, or reported by a node, sorted by namespace and name."""
    assigned = {} if view.document is None else {(m.namespace, m.name): m for m in view.document.models}
    reported = {(report.namespace, report.model) for node in view.nodes for report in node.reports}
    return tuple(_merge_model(key, assigned.get(key), view, judge, now) for key in sorted(reported | assigned.keys()))


def _merge_model(
    key: tuple[str, str], assignment: ModelAssignment | None, view: SiteView, judge: Judge, now: datetime
) -> ModelReport:
    voters = view.voters
    before = next((report for report in view.before if (report.namespace, report.model) == key), None)
    bad = accused_by_nodes(key, voters, view.site)
    if assignment is not None:
        bad += accused_by_evidence(key, voters, assignment.analysis, judge, site=view.site, now=now)
    # Sticky: a digest once judged bad here stays so when the nodes that said it are gone.
    quarantined = tuple(dict.fromkeys((*(before.quarantined if before else ()), *(entry.digest for entry in bad))))[
        -_MAX_QUARANTINED:
    ]
    target = assignment.target.digest if assignment is not None else _common_target(key, voters)
    progress = _progress(key, target, quarantined, voters)
    serving = _serving(key, progress.counted, ready=any(node.ready for node in voters))
    reports = [report for node in view.nodes if (report := node.report(key)) is not None]
    return ModelReport(
        namespace=key[0],
        model=key[1],
        phase=progress.phase,
        target_digest=target,
        serving_digest=serving.serving_digest if serving else None,
        serving_version=serving.serving_version if serving else None,
        serving_since=serving.serving_since if serving else None,
        requests=sum(report.requests for report in reports),
        evidence=_evidence(key, target, view.nodes, reports),
        failed_metric=_failed_metric(target, bad, before) if progress.phase is ModelPhase.ROLLED_BACK else None,
        quarantined=quarantined,
        reason=progress.reason,
        message=progress.message,
        drift=of_site((report.drift for report in reports), serving.serving_digest if serving else None),
    )


@dataclass(frozen=True)
class _Progress:
    """The site's phase, why, and the nodes it was taken from (a lone sick node is not among them)."""

    phase: ModelPhase
    reason: str
    message: str
    counted: tuple[NodeView, ...]


def _progress(
    key: tuple[str, str], target: str | None, quarantined: Sequence[str], voters: Sequence[NodeView]
) -> _Progress:
    if target is not None and target in quarantined:
        told = next((r for node in voters if (r := node.report(key)) and accuses(r, target) and r.reason), None)
        reason, message = (told.reason, told.message) if told else ("JudgedBad", "judged bad at this site")
        return _Progress(ModelPhase.ROLLED_BACK, reason, message, tuple(voters))
    ailing = [node for node in voters if _phase(node, key, target) in (ModelPhase.ROLLED_BACK, ModelPhase.REFUSED)]
    alone = bool(ailing) and not carries(len(ailing), len(voters))
    counted = tuple(node for node in voters if not alone or node not in ailing)
    if not counted:
        return _Progress(ModelPhase.WAITING, "NoNode", "no node of this site runs the runtime yet", ())
    slowest = min(counted, key=lambda node: _ADVANCE.index(_phase(node, key, target)))
    phase = _phase(slowest, key, target)
    report = slowest.report(key)
    current = report is not None and report.target_digest == target
    reason, message = (report.reason, report.message) if report is not None and current else ("", "")
    if alone:
        names = ", ".join(sorted(node.node for node in ailing))
        told = ailing[0].report(key)
        reason = "SickNode"
        message = f"{names}: {told.message if told else ''}; {len(counted)} other nodes disagree: look at that node"
    return _Progress(phase, reason, message[:1024], counted)


def _phase(node: NodeView, key: tuple[str, str], target: str | None) -> ModelPhase:
    """Where a node stands with the target; one that hasn't heard of it yet is waiting."""
    report = node.report(key)
    if report is None or report.target_digest != target:
        return ModelPhase.WAITING
    return ModelPhase.ROLLED_BACK if target is not None and accuses(report, target) else report.phase


def _serving(key: tuple[str, str], counted: Sequence[NodeView], *, ready: bool) -> ModelReport | None:
    """What the site serves: only what all its nodes that answer agree on, since when the last of them does."""
    reports = [node.report(key) for node in counted]
    if not ready or not reports:
        return None
    digests = {report.serving_digest if report is not None else None for report in reports}
    if len(digests) != 1 or None in digests:
        return None
    since = [report.serving_since for report in reports if report is not None and report.serving_since is not None]
    first = next(report for report in reports if report is not None)
    return first.model_copy(update={"serving_since": max(since, default=None)})


def _common_target(key: tuple[str, str], voters: Iterable[NodeView]) -> str | None:
    targets = Counter(report.target_digest for node in voters if (report := node.report(key)) is not None)
    return targets.most_common(1)[0][0] if targets else None


def _failed_metric(target: str | None, bad: Sequence[BadDigest], before: ModelReport | None) -> FailedMetric | None:
    for entry in bad:
        if entry.digest == target and entry.metric is not None:
            return entry.metric
    return before.failed_metric if before is not None and before.target_digest == target else None


def _evidence(
    key: tuple[str, str], target: str | None, nodes: Sequence[NodeView], reports: Sequence[ModelReport]
) -> EvidenceSummary | None:
    """Sum the nodes' evidence on the target; medians don't add, so that one comes from the merged histograms."""
    summaries = [r.evidence for r in reports if r.evidence is not None and r.target_digest == target]
    if not summaries:
        return None
    ratios = merge(
        window.ratios
        for node in nodes
        for entry in node.evidence
        if (entry.namespace, entry.model) == key and entry.challenger == target
        for window in entry.windows
    )
    expected = [summary.expected_disagreement for summary in summaries if summary.expected_disagreement is not None]
    medians = [summary.latency_ratio_p50 for summary in summaries if summary.latency_ratio_p50 is not None]
    return EvidenceSummary(
        pairs=sum(summary.pairs for summary in summaries),
        disagreements=sum(summary.disagreements for summary in summaries),
        challenger_errors=sum(summary.challenger_errors for summary in summaries),
        expected_disagreement=expected[0] if expected else None,
        latency_ratio_p50=quantile(ratios, 0.5) if ratios else max(medians, default=None),
        guardrail_trips=sum(summary.guardrail_trips for summary in summaries),
    )
