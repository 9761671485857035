"""Nodes that report about one model, for the tests of merging."""

from datetime import UTC, datetime, timedelta

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import EvidenceSummary, ModelPhase, ModelReport
from skerry_core.evidence.collect import Collector
from skerry_core.evidence.window import Pair
from skerry_core.evidence.wire import ModelEvidence, to_wire
from skerry_core.verdict.port import Outcome, Verdict
from skerry_operator.site.views import NodeView
from tests.unit.trust.documents import DIGEST, MODEL, NAMESPACE

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
TARGET = DIGEST  # what tests.unit.trust.documents assigns
CHAMPION = "sha256:" + "c" * 64
OTHER = "sha256:" + "d" * 64
METRIC = FailedMetric(name="disagreement", observed=0.2, limit=0.07)


def report(phase=ModelPhase.SERVING, *, target=TARGET, serving=TARGET, quarantined=(), **fields):
    return ModelReport(
        namespace=NAMESPACE,
        model=MODEL,
        phase=phase,
        target_digest=target,
        serving_digest=serving,
        serving_version="1.2.0",
        serving_since=fields.pop("since", NOW),
        quarantined=quarantined,
        **fields,
    )


def serving(name, **fields):
    return NodeView(name, True, (report(**fields),))


def in_canary(name, evidence=(), /, **fields):
    return NodeView(name, True, (report(ModelPhase.CANARY, serving=CHAMPION, **fields),), tuple(evidence))


def rolled_back(name, evidence=(), /, **fields):
    told = report(
        ModelPhase.ROLLED_BACK,
        serving=CHAMPION,
        quarantined=(TARGET,),
        failed_metric=METRIC,
        reason="VerdictFailed",
        message="disagreement 0.2 over 0.07",
        **fields,
    )
    return NodeView(name, True, (told,), tuple(evidence))


def summary(pairs, disagreements):
    return EvidenceSummary(pairs=pairs, disagreements=disagreements)


def evidence(pairs, disagreements, *, running=True, ratio=1.0):
    """Evidence of a canary that disagrees on the first `disagreements` of `pairs` one-row requests."""
    collector = Collector(CHAMPION, TARGET, timedelta(seconds=5))
    for index in range(pairs):
        at = NOW - timedelta(seconds=40) + timedelta(seconds=35) * index / pairs
        collector.add(Pair(at, 1, int(index < disagreements), 0.001, 0.001 * ratio))
    return ModelEvidence(
        namespace=NAMESPACE,
        model=MODEL,
        champion=CHAMPION,
        challenger=TARGET,
        running=running,
        windows=to_wire(collector.evidence()),
    )


def never_fails(evidence, limits, expected, now):
    return Verdict(Outcome.INCONCLUSIVE)
