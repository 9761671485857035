"""What one site should be told about one model: which release, which way back, and what may not run there."""

from skerry_api.v1alpha1.modelrelease import ReleasePhase
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub.rollout.facts import ModelFacts, ReleaseFacts, SiteFacts, SiteTarget, version_of

# An envelope has room for 8 KiB; older quarantines are kept by the nodes themselves.
_MAX_QUARANTINED = 16
_OPEN = frozenset({ReleasePhase.PENDING, ReleasePhase.PROGRESSING, ReleasePhase.PAUSED})


def choose_candidate(model: ModelFacts) -> ReleaseFacts | None:
    """The release that goes out now: the newest that is verified, not finished, not quarantined, newer than approved.

    A paused release that has begun stays the candidate (and stands still) until a newer one comes; one that hasn't
    begun is passed over.
    """
    eligible = [
        release
        for release in model.releases
        if release.phase in _OPEN
        and (release.started or not release.paused)
        and model.quarantine_of(release.ref.digest) is None
        and (model.approved is None or release.version > version_of(model.approved))
    ]
    return max(eligible, key=lambda release: (release.version, release.ref.release), default=None)


def admitted(site: SiteFacts, model: ModelFacts, candidate: ReleaseRef) -> SiteTarget:
    """What a site is told when its turn comes to try the candidate."""
    return SiteTarget(candidate, way_back(site, model), quarantined_at(site, model))


def settled(site: SiteFacts, model: ModelFacts, candidate: ReleaseFacts | None) -> SiteTarget | None:
    """What a site is told while nothing new is asked of it; None while there is nothing to tell.

    It keeps its release while that is the candidate or may still become more than it is; else it goes to the approved
    one. With no way back at all it keeps what it has: stale but valid beats absent (law 1).
    """
    back = way_back(site, model)
    current = site.assigned.target if site.assigned else None
    keeps = current is not None and _keeps(site, model, candidate, current)
    target = current if keeps and current is not None else back
    if target is None:
        return site.assigned
    return SiteTarget(target, back, quarantined_at(site, model))


def way_back(site: SiteFacts, model: ModelFacts) -> ReleaseRef | None:
    """The release that the site falls back to: the approved one, or the one before if the site can't have that."""
    blocked = model.blocked_at(site)
    return next((ref for ref in (model.approved, model.previous) if ref and ref.digest not in blocked), None)


def quarantined_at(site: SiteFacts, model: ModelFacts) -> tuple[str, ...]:
    """The newest quarantines that hold at a site, oldest first."""
    newest_last = sorted(model.quarantines, key=lambda item: (item.since, item.digest))
    return tuple(item.digest for item in newest_last if item.covers(site.name))[-_MAX_QUARANTINED:]


def _keeps(site: SiteFacts, model: ModelFacts, candidate: ReleaseFacts | None, current: ReleaseRef) -> bool:
    if current.digest in model.blocked_at(site):
        return False
    # A held site takes nothing new, and one that left its ring takes no part any more (law 2).
    if site.hold or site.ring is None or model.approved is None:
        return True
    if version_of(current) <= version_of(model.approved):
        return current.digest == model.approved.digest
    # Newer than approved: under way, paused, deleted in mid-rollout, or superseded and about to be replaced.
    return candidate is not None or model.phase_of(current.digest) is not ReleasePhase.SUPERSEDED
