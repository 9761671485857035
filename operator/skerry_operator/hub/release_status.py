"""A release's status from its rollout: pure, and the same from the same facts."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from skerry_api.conditions import Outcome, Progressing, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.modelrelease import FailedMetric, ModelRelease, ModelReleaseStatus, ReleasePhase, RingProgress
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub.rollout.facts import ReleaseFacts, RingPolicy
from skerry_operator.hub.rollout.fold import RingTally, Standing, Tally
from skerry_operator.hub.rollout.progress import progress_of

_WAITS = frozenset({"WaitingForSites", "NoRings", "Paused"})


def ring_progress(
    rings: Sequence[RingPolicy],
    tally: Tally,
    before: Sequence[RingProgress],
    now: datetime,
    passed: Collection[str] = (),
) -> tuple[RingProgress, ...]:
    """Counts by ring; rings in `passed` are completed now, unless they were before."""
    completed = {ring.name: ring.completed_at for ring in before}
    progress = []
    for policy in rings:
        ring = tally.get(policy.name, RingTally())
        running, succeeded, failed = (
            ring.count(each) for each in (Standing.PROGRESSING, Standing.SUCCEEDED, Standing.FAILED)
        )
        progress.append(
            RingProgress(
                name=policy.name,
                sites=ring.sites,
                assigned=running + succeeded + failed,
                progressing=running,
                succeeded=succeeded,
                failed=failed,
                unreachable=ring.count(Standing.UNREACHABLE),
                completed_at=completed.get(policy.name) or (now if policy.name in passed else None),
            )
        )
    return tuple(progress)


def under_way(
    release: ModelRelease, facts: ReleaseFacts, rings: Sequence[RingPolicy], tally: Tally, now: datetime
) -> ModelReleaseStatus:
    """The candidate's status."""
    progress = progress_of(facts, rings, tally)
    outcome: Outcome = (Waiting if progress.reason in _WAITS else Progressing)(progress.reason, progress.message)
    started = facts.started or release.status.started_at is not None
    running = ReleasePhase.PROGRESSING if started else ReleasePhase.PENDING
    phase = ReleasePhase.PAUSED if facts.paused else running
    update = {"phase": phase, "ring": progress.ring, "reason": progress.reason}
    return _status(release, outcome, now, update | {"rings": ring_progress(rings, tally, release.status.rings, now)})


def begun(release: ModelRelease, now: datetime) -> ModelReleaseStatus:
    """It goes out now."""
    outcome = Progressing("RollingOut", "its rollout has begun")
    return _status(
        release, outcome, now, {"phase": ReleasePhase.PROGRESSING, "started_at": now, "reason": "RollingOut"}
    )


def approved(release: ModelRelease, rings: Sequence[RingPolicy], tally: Tally, now: datetime) -> ModelReleaseStatus:
    """It is what sites get."""
    progress = ring_progress(rings, tally, release.status.rings, now)
    serving = sum(ring.succeeded for ring in progress)
    outcome = Ready("Approved", f"{serving} of {sum(ring.sites for ring in progress)} sites serve it")
    update = {"phase": ReleasePhase.APPROVED, "ring": "", "reason": "", "rings": progress}
    return _status(release, outcome, now, update)


def rolled_back(
    release: ModelRelease, metric: FailedMetric, rings: tuple[RingProgress, ...], now: datetime
) -> ModelReleaseStatus:
    """It was taken back everywhere, for this."""
    seen = f": {metric.observed:g} observed" if metric.observed is not None else ""
    limit = f", at most {metric.limit:g} allowed" if metric.limit is not None else ""
    site = f" at {metric.site}" if metric.site else ""
    detail = f" ({metric.message})" if metric.message else ""
    message = f"{metric.name} failed{site}{seen}{limit}{detail}; release a corrected version"
    update = {
        "phase": ReleasePhase.ROLLED_BACK,
        "failed_metric": metric,
        "reason": metric.name,
        "rings": rings or release.status.rings,
    }
    return _status(release, Stalled("RolledBack", message), now, update)


def superseded(release: ModelRelease, by: ReleaseRef, now: datetime) -> ModelReleaseStatus:
    """A newer one goes out, or went, in its place."""
    outcome = Ready("Superseded", f"{by.release} ({by.version}) takes its place")
    return _status(release, outcome, now, {"phase": ReleasePhase.SUPERSEDED, "reason": "Superseded"})


def paused_before_start(release: ModelRelease, now: datetime) -> ModelReleaseStatus:
    """Nothing happens until somebody sets spec.paused to false."""
    outcome = Waiting("Paused", "paused before it began: spec.paused is true")
    return _status(release, outcome, now, {"phase": ReleasePhase.PAUSED, "reason": "Paused"})


def _status(release: ModelRelease, outcome: Outcome, now: datetime, update: Mapping[str, object]) -> ModelReleaseStatus:
    generation = release.metadata.generation
    conditions = conditions_for(outcome, generation=generation, now=now, previous=release.status.conditions)
    return release.status.model_copy(update={"observed_generation": generation, "conditions": conditions, **update})
