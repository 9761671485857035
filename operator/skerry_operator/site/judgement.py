"""Sick node or sick model: which digests are bad for the whole site, and which node stands alone. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport
from skerry_core.assignment.document import AnalysisLimits
from skerry_core.evidence.collect import combine
from skerry_core.evidence.wire import ModelEvidence
from skerry_core.verdict.port import Judge, Outcome
from skerry_operator.site.views import NodeView

# With fewer nodes than this there is no majority: one bad node of two may be either.
_SMALLEST_QUORUM = 3


@dataclass(frozen=True)
class BadDigest:
    """A digest judged bad for the site, and the metric that decided."""

    digest: str
    metric: FailedMetric | None


def accuses(report: ModelReport | None, digest: str) -> bool:
    """Tell whether a node has judged a digest bad."""
    return report is not None and (
        digest in report.quarantined or (report.phase is ModelPhase.ROLLED_BACK and report.target_digest == digest)
    )


def carries(count: int, of: int) -> bool:
    """Tell whether `count` of `of` nodes speak for the site: a majority, or all when there are fewer than three."""
    if of < _SMALLEST_QUORUM:
        return count == of > 0
    return 2 * count > of


def accused_by_nodes(key: tuple[str, str], voters: Sequence[NodeView], site: str) -> tuple[BadDigest, ...]:
    """The digests of a model that enough of the site's nodes, each by its own judgement, hold to be bad."""
    reports = [view.report(key) for view in voters]
    accused = dict.fromkeys(digest for report in reports if report is not None for digest in _accused(report))
    return tuple(
        BadDigest(digest, _metric(reports, digest, site))
        for digest in accused
        if carries(sum(accuses(report, digest) for report in reports), len(reports))
    )


def accused_by_evidence(
    key: tuple[str, str],
    voters: Sequence[NodeView],
    limits: AnalysisLimits,
    judge: Judge,
    *,
    site: str,
    now: datetime,
) -> tuple[BadDigest, ...]:
    """The challengers that fail on all nodes' evidence together: many nodes see soon what each sees too little of.

    Nodes that have judged by themselves are left out: with their windows in, one sick node could condemn a model.
    """
    bad = []
    for challenger, entries in _running_canaries(key, voters):
        expected = next((entry.expected for entry in entries if entry.expected is not None), None)
        verdict = judge(combine(entry.evidence() for entry in entries), limits, expected, now)
        if verdict.outcome is Outcome.FAIL:
            metric = FailedMetric(
                name=verdict.metric,
                observed=verdict.observed,
                limit=verdict.limit,
                site=site,
                message=f"over {len(entries)} nodes: {verdict.message}",
            )
            bad.append(BadDigest(challenger, metric))
    return tuple(bad)


def _running_canaries(key: tuple[str, str], voters: Sequence[NodeView]) -> Iterable[tuple[str, list[ModelEvidence]]]:
    """Challengers that some node still tries, each with the evidence of the nodes that haven't condemned it."""
    pairs: defaultdict[tuple[str, str], list[ModelEvidence]] = defaultdict(list)
    for view in voters:
        for entry in view.evidence:
            if (entry.namespace, entry.model) == key and not accuses(view.report(key), entry.challenger):
                pairs[entry.champion, entry.challenger].append(entry)
    for (_, challenger), entries in pairs.items():
        if any(entry.running for entry in entries):
            yield challenger, entries


def _accused(report: ModelReport) -> Iterable[str]:
    yield from report.quarantined
    if report.phase is ModelPhase.ROLLED_BACK and report.target_digest is not None:
        yield report.target_digest


def _metric(reports: Iterable[ModelReport | None], digest: str, site: str) -> FailedMetric | None:
    for report in reports:
        if report is not None and report.failed_metric is not None and report.target_digest == digest:
            return report.failed_metric.model_copy(update={"site": site})
    return None
