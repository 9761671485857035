"""What every judge has to hold to, whatever its statistics; a judge's tests run all of it."""

from datetime import UTC, datetime, timedelta

from skerry_core.assignment.document import AnalysisLimits, GuardrailLimits
from skerry_core.bundle.manifest import ExpectedDisagreement
from skerry_core.evidence.collect import Collector, combine
from skerry_core.evidence.window import Evidence, Pair
from skerry_core.verdict.port import Judge, Outcome

CHAMPION, CHALLENGER = "sha256:" + "a" * 64, "sha256:" + "b" * 64
T0 = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = AnalysisLimits(
    canary_fraction=0.5,
    interval=timedelta(seconds=5),
    windows=6,
    failure_limit=3,
    min_samples=200,
    max_disagreement_excess=0.05,
    max_disagreement=0.5,
    max_error_rate=0.01,
    max_latency_ratio=3,
    latency_floor=timedelta(milliseconds=20),
    guardrails=GuardrailLimits(max_trips=3, window=timedelta(minutes=1), latency_limit=timedelta(milliseconds=500)),
)


def expect(rate: float) -> ExpectedDisagreement:
    return ExpectedDisagreement(baseline=CHAMPION, rate=rate, samples=1000)


def traffic(
    *,
    windows: int = 8,
    pairs: int = 40,
    wrong: float = 0.0,
    errors: int = 0,
    ours: float = 0.001,
    theirs: float = 0.001,
) -> Evidence:
    """Windows of one-row requests; `wrong` is the share that disagrees, `errors` the failed ones per window."""
    collector = Collector(CHAMPION, CHALLENGER, LIMITS.interval)
    due = 0.0
    for window in range(windows):
        for pair in range(pairs):
            at = T0 + window * LIMITS.interval + timedelta(milliseconds=pair)
            if pair < errors:
                collector.add(Pair(at, 0, 0, ours, None, "Exception"))
                continue
            due += wrong
            differs = due >= 1
            due -= differs
            collector.add(Pair(at, 1, int(differs), ours, theirs))
    return collector.evidence()


def after(evidence: Evidence) -> datetime:
    last = evidence.windows[-1].start if evidence.windows else T0
    return last + LIMITS.interval


class JudgeConformance:
    """Subclass with `judge`."""

    judge: Judge

    def outcome(self, evidence: Evidence, expected=None, now: datetime | None = None) -> Outcome:
        verdict = type(self).judge(evidence, LIMITS, expected, now or after(evidence))
        if verdict.outcome is Outcome.FAIL:
            assert verdict.metric
            assert verdict.message
            assert verdict.observed is not None
            assert verdict.limit is not None
            assert verdict.observed > verdict.limit
        return verdict.outcome

    def test_no_evidence_is_inconclusive(self):
        assert self.outcome(Evidence(CHAMPION, CHALLENGER)) is Outcome.INCONCLUSIVE

    def test_an_equal_challenger_passes(self):
        assert self.outcome(traffic()) is Outcome.PASS

    def test_thin_traffic_stays_inconclusive(self):
        assert self.outcome(traffic(windows=100, pairs=1)) is Outcome.INCONCLUSIVE

    def test_much_traffic_in_no_time_stays_inconclusive(self):
        evidence = traffic(windows=1, pairs=5000)
        assert self.outcome(evidence) is Outcome.INCONCLUSIVE

    def test_a_challenger_that_decides_otherwise_fails(self):
        assert self.outcome(traffic(wrong=0.9)) is Outcome.FAIL

    def test_an_expected_improvement_passes(self):
        assert self.outcome(traffic(wrong=0.2), expect(0.2)) is Outcome.PASS

    def test_a_departure_from_what_was_expected_fails(self):
        assert self.outcome(traffic(wrong=0.2), expect(0.02)) is Outcome.FAIL

    def test_an_expectation_about_another_champion_does_not_count(self):
        foreign = expect(0.02).model_copy(update={"baseline": CHALLENGER})
        assert self.outcome(traffic(wrong=0.2), foreign) is Outcome.PASS

    def test_errors_fail(self):
        assert self.outcome(traffic(errors=8)) is Outcome.FAIL

    def test_a_slow_challenger_fails(self):
        assert self.outcome(traffic(ours=0.01, theirs=0.2)) is Outcome.FAIL

    def test_a_ratio_of_trifles_does_not_fail(self):
        assert self.outcome(traffic(ours=0.0001, theirs=0.001)) is Outcome.PASS

    def test_nodes_judged_together_are_judged_as_one(self):
        half = traffic(pairs=20, wrong=0.2)
        assert self.outcome(combine([half, half]), expect(0.02)) is self.outcome(
            traffic(pairs=40, wrong=0.2), expect(0.02)
        )
