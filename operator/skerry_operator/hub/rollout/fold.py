"""Counting sites without rescanning them: `fold` moves one site's state from before to after, exactly.

Folding every change, in any order, equals recounting all states: counts add and subtract, failures are kept by site.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_operator.hub.rollout.facts import ModelFacts, RingPolicy, SiteFacts


class Standing(StrEnum):
    """Where a site stands with one release. Every site of a ring is in exactly one."""

    PENDING = "pending"  # reachable, not told to serve it yet
    PROGRESSING = "progressing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    HELD = "held"


_COUNTED = frozenset({Standing.PENDING, Standing.PROGRESSING, Standing.SUCCEEDED})


@dataclass(frozen=True, slots=True)
class SiteState:
    """One site's standing; `until` is when it changes by the clock alone (not a part of what is counted)."""

    site: str
    ring: str
    standing: Standing
    failure: FailedMetric | None = None
    # The site itself judged the release bad; a refusal or a missed deadline says as much about the site.
    judged: bool = False
    until: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RingTally:
    """Counts of one ring's sites for one release, and why each failed one did."""

    counts: Mapping[Standing, int] = field(default_factory=dict)
    failures: Mapping[str, FailedMetric] = field(default_factory=dict)
    judged: frozenset[str] = frozenset()

    def count(self, *standings: Standing) -> int:
        """Sites in any of these standings."""
        return sum(self.counts.get(standing, 0) for standing in standings)

    @property
    def sites(self) -> int:
        """All sites of the ring."""
        return sum(self.counts.values())

    @property
    def quorum(self) -> int:
        """Sites that success is measured against: reachable, taking part, and not failed within what is allowed."""
        return self.count(*_COUNTED)


Tally = Mapping[str, RingTally]


def state_of(
    site: SiteFacts, model: ModelFacts, digest: str, policy: RingPolicy, progressed: timedelta, now: datetime
) -> SiteState:
    """Tell where a site stands with a release; `progressed` is how long it was reachable since it was told.

    A failure that was seen stays counted while the site is away; success doesn't, as law 3 wants evidence.
    """
    standing, failure, until = Standing.FAILED, _judgement(site, model, digest), None
    judged = failure is not None
    if failure is None and not site.hold:
        failure = _failure(site, digest, policy, progressed)
    if failure is None:
        standing, until = _standing(site, digest, policy, progressed, now)
    return SiteState(site.name, policy.name, standing, failure, judged=judged, until=until)


def fold(tally: Tally, before: SiteState | None, after: SiteState | None) -> Tally:
    """Take one site's state out and put its new one in; None stands for a site that wasn't, or isn't, there."""
    if before == after:
        return tally
    folded = dict(tally)
    if before is not None:
        folded[before.ring] = _without(folded[before.ring], before)
        if not folded[before.ring].counts:
            del folded[before.ring]
    if after is not None:
        folded[after.ring] = _with(folded.get(after.ring, RingTally()), after)
    return folded


def recount(states: Iterable[SiteState]) -> Tally:
    """Count from nothing."""
    tally: Tally = {}
    for state in states:
        tally = fold(tally, None, state)
    return tally


def _standing(
    site: SiteFacts, digest: str, policy: RingPolicy, progressed: timedelta, now: datetime
) -> tuple[Standing, datetime | None]:
    """Where a site stands that hasn't failed, and when that changes by the clock alone."""
    if site.hold:
        return Standing.HELD, None
    if site.last_seen is None or not site.reachable(policy, now):
        return Standing.UNREACHABLE, None
    stale_at = site.last_seen + policy.evidence_max_age
    if not site.runs(digest):
        return Standing.PENDING, stale_at
    if site.report is not None and _serves(site, digest):
        steady = site.report.serving_for >= policy.min_success_time
        return (Standing.SUCCEEDED if steady else Standing.PROGRESSING), stale_at
    return Standing.PROGRESSING, min(stale_at, now + policy.progress_deadline - progressed)


def _with(tally: RingTally, state: SiteState) -> RingTally:
    tally = replace(tally, counts={**tally.counts, state.standing: tally.counts.get(state.standing, 0) + 1})
    if state.failure is None:
        return tally
    judged = tally.judged | {state.site} if state.judged else tally.judged
    return replace(tally, failures={**tally.failures, state.site: state.failure}, judged=judged)


def _without(tally: RingTally, state: SiteState) -> RingTally:
    left = tally.counts[state.standing] - 1
    counts = {standing: count for standing, count in tally.counts.items() if standing is not state.standing}
    tally = replace(tally, counts=counts | ({state.standing: left} if left else {}))
    if state.failure is None:
        return tally
    failures = {site: metric for site, metric in tally.failures.items() if site != state.site}
    return replace(tally, failures=failures, judged=tally.judged - {state.site})


def _judgement(site: SiteFacts, model: ModelFacts, digest: str) -> FailedMetric | None:
    """Why the site judged the release bad: from its report, or from the Quarantine made of an earlier one."""
    report = site.report
    if report is not None and report.target_digest == digest and report.phase is ModelPhase.ROLLED_BACK:
        metric = report.failed_metric or FailedMetric(name=report.reason or "RolledBack", message=report.message)
        return metric.model_copy(update={"site": site.name})
    for quarantine in model.quarantines:
        if quarantine.digest == digest and site.name in quarantine.sites:
            return quarantine.reason.model_copy(update={"site": site.name})
    if report is not None and digest in report.quarantined:
        return FailedMetric(name="RolledBack", site=site.name, message="rolled back at the site earlier")
    return None


def _failure(site: SiteFacts, digest: str, policy: RingPolicy, progressed: timedelta) -> FailedMetric | None:
    """Why the release can't run at the site, or didn't in time."""
    if not site.runs(digest):
        return None
    report = site.report
    if report is not None and report.target_digest == digest and report.phase is ModelPhase.REFUSED:
        return FailedMetric(name=report.reason or "Refused", site=site.name, message=report.message)
    if not _serves(site, digest) and progressed >= policy.progress_deadline:
        return FailedMetric(
            name="progressDeadline",
            observed=progressed.total_seconds(),
            limit=policy.progress_deadline.total_seconds(),
            site=site.name,
            message=f"not serving after {progressed.total_seconds():.0f} s of being reachable",
        )
    return None


def _serves(site: SiteFacts, digest: str) -> bool:
    """Law 3: success is the digest that answers requests, by the site's own report."""
    report = site.report
    return report is not None and report.phase is ModelPhase.SERVING and report.serving_digest == digest
