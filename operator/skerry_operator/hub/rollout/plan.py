"""The next step of one model's rollout, as commands. Executed and planned again, it comes to rest."""

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric, ReleasePhase
from skerry_api.v1alpha1.quarantine import MAX_SITES
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub.rollout.commands import (
    AdvanceRing,
    Approve,
    Assign,
    Begin,
    Command,
    QuarantineAtSite,
    RollBack,
    Supersede,
)
from skerry_operator.hub.rollout.facts import ModelFacts, ReleaseFacts, RingPolicy, SiteFacts, SiteTarget, version_of
from skerry_operator.hub.rollout.fold import RingTally, Standing, Tally
from skerry_operator.hub.rollout.targets import admitted, choose_candidate, settled

_UNFINISHED = frozenset({ReleasePhase.PENDING, ReleasePhase.PROGRESSING, ReleasePhase.PAUSED})
_PERCENT = 100


def plan(
    model: ModelFacts,
    rings: Sequence[RingPolicy],
    tallies: Mapping[str, Tally],
    candidates: Iterable[SiteFacts],
    now: datetime,
) -> list[Command]:
    """Decide what to do now.

    `rings` are the model's, in order. `tallies` hold, by digest, the counts for the candidate and for the approved
    release. `candidates` are the sites that may need a command: those told other than `settled` says, those pending,
    and those that report a digest bad which no Quarantine names yet; more of them does no harm.
    """
    sites = list(candidates)
    quarantines = list(_quarantines(model, sites))
    if quarantines:
        # Durable first: what is quarantined must be known before anything is decided from it.
        return quarantines
    if rollbacks := list(_rollbacks(model, rings, tallies)):
        return rollbacks
    candidate = choose_candidate(model)
    commands = list(_superseded(model, candidate))
    open_rings: tuple[RingPolicy, ...] = ()
    if candidate is not None and rings:
        tally = tallies.get(candidate.ref.digest, {})
        steps, open_rings = _advance(candidate, rings, tally)
        commands += steps
        if any(isinstance(step, Approve) for step in steps):
            # What each site is told turns on what is approved: plan again once it is written down.
            return commands
    told = _settle(model, candidate, sites)
    if candidate is not None and not candidate.paused:
        told |= _admit(model, candidate, open_rings, tallies.get(candidate.ref.digest, {}), sites, now)
    return commands + [Assign(site, target) for site, target in sorted(told.items())]


def passes(policy: RingPolicy, tally: RingTally) -> bool:
    """Tell whether a ring is passed: no site in it at all, or enough of those that can be asked have succeeded.

    A ring whose sites are all away or held waits: nobody has shown anything yet (law 4).
    """
    if tally.sites == 0:
        return True
    succeeded = tally.count(Standing.SUCCEEDED)
    within_limit = len(tally.failures) <= policy.max_failures
    return within_limit and succeeded > 0 and succeeded * _PERCENT >= policy.min_reporting * tally.quorum


def unquarantined(site: SiteFacts, model: ModelFacts) -> Iterator[tuple[ReleaseRef, FailedMetric]]:
    """Releases that a site reports bad and that no Quarantine keeps from it yet."""
    if (report := site.report) is None:
        return
    # To one that is full nothing can be added: asked for again and again, the plan would never come to rest.
    listed = {item.digest for item in model.quarantines if site.name in item.sites or len(item.sites) >= MAX_SITES}
    bad = set(report.quarantined)
    if report.phase is ModelPhase.ROLLED_BACK and report.target_digest is not None:
        bad.add(report.target_digest)
    named = {ref.digest: ref for ref in model.known()}
    for digest in sorted(bad - listed):
        if digest not in named:
            continue
        about_target = digest == report.target_digest and report.failed_metric is not None
        metric = report.failed_metric if about_target else None
        found = metric or FailedMetric(name=report.reason or "RolledBack", message=report.message)
        yield named[digest], found.model_copy(update={"site": site.name})


def _quarantines(model: ModelFacts, sites: Iterable[SiteFacts]) -> Iterator[Command]:
    for site in sorted(sites, key=lambda site: site.name):
        for release, metric in unquarantined(site, model):
            yield QuarantineAtSite(release, site.name, metric)


def _rollbacks(model: ModelFacts, rings: Sequence[RingPolicy], tallies: Mapping[str, Tally]) -> Iterator[Command]:
    """Releases to take back everywhere: too many failures in a ring, or quarantined by hand."""
    active = [release.ref for release in model.releases if release.phase in _UNFINISHED]
    if model.approved is not None and model.approved.digest not in {ref.digest for ref in active}:
        active.append(model.approved)
    for ref in active:
        quarantine = model.quarantine_of(ref.digest)
        approved = model.approved is not None and ref.digest == model.approved.digest
        metric = quarantine.reason if quarantine else _exceeded(rings, tallies.get(ref.digest, {}), approved=approved)
        if metric is not None:
            yield RollBack(ref, metric)


def _exceeded(rings: Sequence[RingPolicy], tally: Tally, *, approved: bool) -> FailedMetric | None:
    """Why a release has failed in the first ring where more sites failed than may.

    Of an approved release only a site's judgement counts: that a newcomer's disk is too small is no reason to take it
    back from everybody.
    """
    for policy in rings:
        ring = tally.get(policy.name, RingTally())
        failures = {site: why for site, why in ring.failures.items() if not approved or site in ring.judged}
        if len(failures) > policy.max_failures:
            # A judgement tells more than a deadline; beyond that the name decides, so that the answer is the same.
            return failures[min(failures, key=lambda site: (site not in ring.judged, site))]
    return None


def _superseded(model: ModelFacts, candidate: ReleaseFacts | None) -> Iterator[Command]:
    newest = candidate.ref if candidate else model.approved
    if newest is None:
        return
    for release in model.releases:
        if release.phase in _UNFINISHED and release.ref != newest and release.version <= version_of(newest):
            yield Supersede(release.ref, newest)


def _advance(
    candidate: ReleaseFacts, rings: Sequence[RingPolicy], tally: Tally
) -> tuple[list[Command], tuple[RingPolicy, ...]]:
    """Go on through the rings while they are passed; also says which rings are open then."""
    commands: list[Command] = [] if candidate.started or candidate.paused else [Begin(candidate.ref)]
    done = 0
    for policy in rings:
        if policy.name not in candidate.completed:
            ring = tally.get(policy.name, RingTally())
            if candidate.paused or not passes(policy, ring):
                break
            # An empty one is passed only while it is empty: sites that come (back) are to be tried in their order.
            if ring.sites:
                commands.append(AdvanceRing(candidate.ref, policy.name))
        done += 1
    succeeded = sum(ring.count(Standing.SUCCEEDED) for ring in tally.values())
    # Law 3: rings without a single site prove nothing.
    if done == len(rings) and succeeded > 0 and not candidate.paused:
        commands.append(Approve(candidate.ref))
    return commands, tuple(rings[: done + 1])


def _settle(model: ModelFacts, candidate: ReleaseFacts | None, sites: Iterable[SiteFacts]) -> dict[str, SiteTarget]:
    """Sites that were told something else than they should be by now."""
    told = ((site, settled(site, model, candidate)) for site in sites)
    return {site.name: target for site, target in told if target is not None and target != site.assigned}


def _admit(
    model: ModelFacts,
    candidate: ReleaseFacts,
    open_rings: Sequence[RingPolicy],
    tally: Tally,
    sites: Sequence[SiteFacts],
    now: datetime,
) -> dict[str, SiteTarget]:
    """Let waiting sites of the open rings try the candidate, as many at once as their ring allows."""
    digest = candidate.ref.digest
    told = {}
    for policy in open_rings:
        room = policy.max_concurrency - tally.get(policy.name, RingTally()).count(Standing.PROGRESSING)
        waiting = (
            site
            for site in sites
            if site.ring == policy.name and not site.hold and not site.runs(digest) and site.reachable(policy, now)
            if digest not in model.blocked_at(site)
        )
        for site in heapq.nsmallest(max(room, 0), waiting, key=lambda site: site.name):
            told[site.name] = admitted(site, model, candidate.ref)
    return told
