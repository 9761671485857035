"""The activation machine: which release serves, which is tried, which is never tried again. Pure.

A step applies an event to the state, settles what follows from it, and returns as commands what differs between the
two states. Laws:

- The champion serves until another resident release takes its place; there is always one once there was one.
- Without a champion the approved release activates, or the target if there is none: verified and warmed up, but without
  a canary, since there is nothing to compare it with.
- Every other release becomes champion only by a PASS of its canary, except that a champion that may no longer run is
  replaced at once: by the approved release, else the previous one, else the target, whichever is resident.
- A digest that was judged bad here is never loaded again.
- An unproven release is loaded only after its intent is durably marked, and the mark is removed only after what became
  of it is durable.
- A model that an assignment doesn't mention stays as it is; only Removed removes.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.assignment.document import ReleaseRef
from skerry_core.verdict.port import Outcome
from skerry_edge.inference.activation.messages import (
    Assigned,
    Barred,
    ClearIntent,
    Command,
    CrashFound,
    EndCanary,
    Event,
    Forget,
    GuardrailsTripped,
    InputsChanged,
    Load,
    Loaded,
    LoadFailed,
    MarkIntent,
    Persist,
    Quarantine,
    Removed,
    Serve,
    Stamped,
    StartCanary,
    Started,
    Unload,
    VerdictReached,
)
from skerry_edge.inference.activation.state import Activation, BadRelease

PROCESS_CRASH = "ProcessCrash"
CANARY_FAILED = "CanaryFailed"
GUARDRAIL_TRIPPED = "GuardrailTripped"
MAX_INTERRUPTED = 64
MAX_TRIES = 3


def step(state: Activation, stamped: Stamped) -> tuple[Activation, tuple[Command, ...]]:
    """Take one event; the commands are to be executed in their order."""
    if isinstance(stamped.event, Removed):
        return state, (EndCanary(), Forget(), *(ClearIntent(digest) for digest in sorted(state.marked)))
    applied = _apply(state, stamped.event, stamped.at)
    after = _settle(applied, stamped.at)
    return after, tuple(_commands(state, applied, after))


def _apply(state: Activation, event: Event, at: datetime) -> Activation:  # noqa: PLR0911 - one for each event
    match event:
        case Assigned():
            kept = state.kept.model_copy(update={"served_name": event.model.served_name})
            return replace(state, kept=kept, assigned=event.model, barred=event.barred)
        case Barred():
            told = state.assigned.quarantined if state.assigned is not None else ()
            return replace(state, barred=event.digests.union(told))
        case Loaded():
            return _loaded(state, event.digest)
        case LoadFailed():
            retry = state.stale_load and event.failure.phase is not ModelPhase.REFUSED
            failure = replace(event.failure, retry=retry)
            return replace(_not_loading(state, event.digest), failures={**state.failures, event.digest: failure})
        case InputsChanged():
            failures = {
                digest: replace(failure, retry=event.told_anew or failure.phase is not ModelPhase.REFUSED)
                for digest, failure in state.failures.items()
            }
            return replace(state, failures=failures, stale_load=state.loading is not None)
        case VerdictReached():
            return _judged(state, event, at)
        case GuardrailsTripped():
            return _condemn(state, state.canary, event.digest, GUARDRAIL_TRIPPED, event.metric, at)
        case CrashFound():
            return _crashed(state, event, at)
        case Started() | Removed():
            return state


def _not_loading(state: Activation, digest: str) -> Activation:
    done = state.loading is not None and state.loading.digest == digest
    return replace(state, loading=None, stale_load=False) if done else state


def _loaded(state: Activation, digest: str) -> Activation:
    failures = {other: failure for other, failure in state.failures.items() if other != digest}
    return replace(_not_loading(state, digest), resident=state.resident | {digest}, failures=failures)


def _judged(state: Activation, event: VerdictReached, at: datetime) -> Activation:
    verdict, canary = event.verdict, state.canary
    if canary is None or canary.digest != event.digest or verdict.outcome is Outcome.INCONCLUSIVE:
        return state
    if verdict.outcome is Outcome.PASS:
        return replace(_crown(state, canary, at), canary=None)
    metric = FailedMetric(
        name=verdict.metric, observed=verdict.observed, limit=verdict.limit, message=verdict.message[:1024]
    )
    return _condemn(state, canary, event.digest, CANARY_FAILED, metric, at)


def _crashed(state: Activation, event: CrashFound, at: datetime) -> Activation:
    """Blame a release for the end of the process that tried it, unless it has earned another try.

    A process that went down with the machine says little, so that counts once for nothing. While nothing else can
    serve here, giving up early has a price and trying again has none: then it takes MAX_TRIES.
    """
    digest, kept = event.release.digest, state.kept
    if state.champion is not None and state.champion.digest == digest:
        return state  # it was promoted; the process died before the mark was gone
    tries = kept.interrupted.count(digest)
    allowed = MAX_TRIES - 1 if state.champion is None else int(event.power_cut)
    if tries < allowed:
        interrupted = (*kept.interrupted, digest)[-MAX_INTERRUPTED:]
        return replace(state, kept=kept.model_copy(update={"interrupted": interrupted}))
    metric = FailedMetric(name="process_crash", message="the process died while this release was loaded or tried")
    return _condemn(state, event.release, digest, PROCESS_CRASH, metric, at)


def _condemn(
    state: Activation, release: ReleaseRef | None, digest: str, reason: str, metric: FailedMetric, at: datetime
) -> Activation:
    if release is None or release.digest != digest or any(entry.digest == digest for entry in state.bad):
        return state
    entry = BadRelease(digest=digest, version=release.version, reason=reason, failed_metric=metric, at=at)
    return replace(state, bad=(*state.bad, entry))


def _crown(state: Activation, release: ReleaseRef, at: datetime) -> Activation:
    """Make a release the champion; the old one stays as the way back if it may run."""
    old, previous = state.champion, state.kept.previous
    if state.may_run(old):
        previous = old
    elif previous is not None and previous.digest == release.digest:
        previous = None
    update = {"champion": release, "champion_since": at, "previous": previous}
    return replace(state, kept=state.kept.model_copy(update=update))


def _settle(state: Activation, at: datetime) -> Activation:
    if state.kept.previous is not None and not state.may_run(state.kept.previous):
        state = replace(state, kept=state.kept.model_copy(update={"previous": None}))
    state = _settle_champion(state, at)
    state = _settle_canary(state)
    wanted = _wanted(state)
    resident = state.resident & frozenset(release.digest for release in wanted)
    # What never got in leaves no trace; failures of releases that nobody wants are forgotten.
    failures = {digest: failure for digest, failure in state.failures.items() if _known(state, digest)}
    state = replace(state, resident=resident, failures=failures)
    if state.loading is None:
        state = replace(state, loading=_next_load(state))
    marked = frozenset(
        release.digest
        for release in (*wanted, *([state.loading] if state.loading else []))
        if not is_proven(state, release) and (release.digest in resident or release == state.loading)
    )
    return replace(state, marked=marked)


def _settle_champion(state: Activation, at: datetime) -> Activation:
    champion = state.champion
    if champion is not None and state.may_run(champion) and not _is_absent(state, champion):
        return state
    for candidate in _candidates(state):
        if candidate.digest in state.resident and candidate != champion:
            return _crown(state, candidate, at)
    return state


def _candidates(state: Activation) -> Iterator[ReleaseRef]:
    """Who may serve without a canary if the champion can't, the best proven first."""
    assigned = state.assigned
    approved = assigned.approved if assigned is not None else None
    previous = state.kept.previous
    for release in (approved, previous):
        if release is not None and state.may_run(release):
            yield release
    if assigned is None or not state.may_run(assigned.target):
        return
    # The approved release may be moments away; an unproven one goes before it only if it can't come.
    if approved is None or not state.may_run(approved) or _cannot_load(state, approved) or state.champion is not None:
        yield assigned.target


def _is_absent(state: Activation, release: ReleaseRef) -> bool:
    """Whether loading it failed, for whatever cause: nobody waits for a champion while another could answer."""
    return release.digest in state.failures and release.digest not in state.resident


def _cannot_load(state: Activation, release: ReleaseRef) -> bool:
    """Whether it failed for a cause in itself; a blob still on its way or a sick disk are worth waiting for."""
    if not _is_absent(state, release):
        return False
    failure = state.failures[release.digest]
    return failure.phase is ModelPhase.REFUSED and not failure.retry


def _settle_canary(state: Activation) -> Activation:
    desired, serving = _desired(state), state.serving
    ready = (
        desired is not None
        and serving is not None
        and state.may_run(serving)
        and desired.digest != serving.digest
        and desired.digest in state.resident
    )
    return replace(state, canary=desired if ready else None)


def _desired(state: Activation) -> ReleaseRef | None:
    """What should serve in the end: the target, or the approved release if the target can't."""
    assigned = state.assigned
    if assigned is None:
        return state.champion
    for release in (assigned.target, assigned.approved):
        if release is not None and state.may_run(release) and not _cannot_load(state, release):
            return release
    return state.champion


def _wanted(state: Activation) -> tuple[ReleaseRef, ...]:
    """Releases to hold in memory, in the order in which they are loaded."""
    champion = state.champion
    wanted: list[ReleaseRef | None] = []
    if state.may_run(champion):
        wanted.append(champion)
    if champion is None or not state.may_run(champion) or _is_absent(state, champion):
        wanted += _candidates(state)
        # Stale but valid beats absent: if nobody else can come, even a champion that should go serves on.
        if champion is not None and (champion.digest in state.resident or not _any_hope(state)):
            wanted.append(champion)
    wanted += [state.kept.previous, _desired(state)]
    unique = {release.digest: release for release in wanted if release is not None}
    return tuple(unique.values())


def _any_hope(state: Activation) -> bool:
    return any(release.digest not in state.failures for release in _candidates(state))


def _next_load(state: Activation) -> ReleaseRef | None:
    for release in _wanted(state):
        failure = state.failures.get(release.digest)
        if release.digest not in state.resident and (failure is None or failure.retry):
            return release
    return None


def _known(state: Activation, digest: str) -> bool:
    assigned, kept = state.assigned, state.kept
    known = [kept.champion, kept.previous]
    if assigned is not None:
        known += [assigned.target, assigned.approved]
    return any(release is not None and release.digest == digest for release in known)


def is_proven(state: Activation, release: ReleaseRef) -> bool:
    """Tell whether the release has answered requests here as champion."""
    return any(
        proven is not None and proven.digest == release.digest for proven in (state.champion, state.kept.previous)
    )


def _commands(  # noqa: C901 - one condition for each command, in an order that matters
    before: Activation, applied: Activation, after: Activation
) -> Iterator[Command]:
    """What differs, in the order in which a crash at any point does least harm.

    `applied` is what the event alone made of `before`: loads that ended in it have to be begun anew.

    References are swapped first. What became of a release is durable before its mark goes, and its mark is durable
    before it is loaded.
    """
    paired_anew = after.canary != before.canary or after.serving != before.serving
    if before.canary is not None and paired_anew:
        yield EndCanary()
    if after.serving is not None and after.serving != before.serving:
        yield Serve(after.serving)
    for entry in after.bad:
        if entry not in before.bad:
            yield Quarantine(entry)
    if after.kept != before.kept:
        yield Persist(after.kept)
    loading = after.loading
    if loading is not None and loading.digest in after.marked - before.marked:
        yield MarkIntent(loading)
    for digest in sorted(before.marked - after.marked):
        yield ClearIntent(digest)
    if after.canary is not None and paired_anew:
        yield StartCanary(after.canary)
    for digest in sorted(applied.resident - after.resident):
        yield Unload(digest)
    if loading is not None and loading != applied.loading:
        yield Load(loading)
