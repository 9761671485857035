"""What a release's status says of its rollout: pure, from the same facts that the plan is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from skerry_operator.hub.rollout.facts import ReleaseFacts, RingPolicy
from skerry_operator.hub.rollout.fold import RingTally, Standing, Tally
from skerry_operator.hub.rollout.plan import passes


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a rollout stands: the ring it is in (empty when past the last), and what it waits for."""

    ring: str
    reason: str
    message: str


def progress_of(release: ReleaseFacts, rings: Sequence[RingPolicy], tally: Tally) -> Progress:
    """Say what a release under way waits for; `reason` is a condition reason."""
    if release.paused:
        return Progress(_current(release, rings), "Paused", "paused: spec.paused is true; sites keep what they have")
    if not rings:
        return Progress("", "NoRings", "no RolloutRing to go through: create one, or correct the Model's spec.rings")
    for policy in rings:
        ring = tally.get(policy.name, RingTally())
        if policy.name not in release.completed and not passes(policy, ring):
            return _waiting(policy, ring)
    if all(not ring.count(Standing.SUCCEEDED) for ring in tally.values()):
        return Progress("", "WaitingForSites", "no site has shown the release to work yet: its rings have no sites")
    return Progress("", "Completing", "every ring is passed")


def _current(release: ReleaseFacts, rings: Sequence[RingPolicy]) -> str:
    return next((policy.name for policy in rings if policy.name not in release.completed), "")


def _waiting(policy: RingPolicy, ring: RingTally) -> Progress:
    succeeded, failed = ring.count(Standing.SUCCEEDED), len(ring.failures)
    counts = f"{succeeded} of {ring.sites} sites serve it"
    if failed:
        counts += f", {failed} failed (at most {policy.max_failures} may)"
    if away := ring.count(Standing.UNREACHABLE):
        counts += f", {away} unreachable"
    if held := ring.count(Standing.HELD):
        counts += f", {held} on hold"
    if ring.quorum == 0:
        return Progress(policy.name, "WaitingForSites", f"ring {policy.name} has no site that can be asked: {counts}")
    return Progress(policy.name, "RollingOut", f"ring {policy.name}: {counts}")
