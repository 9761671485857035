"""Overruns as they begin and end: a state machine over snapshots. Pure.

What happened meanwhile is counted from snapshot to snapshot, so an overrun that lasts over a restart of either process
goes on where it was, and only what has begun can end.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from skerry_edge.sync.schedule.plan import HeldReason
from skerry_edge.telemetry.catalogue import TIERS
from skerry_edge.telemetry.measures import Key, Snapshot, total_growth
from skerry_edge.telemetry.overrun import (
    BEGINS_AFTER,
    ENDS_AFTER,
    OUTRUN,
    Limit,
    Side,
    Standing,
    Subject,
    causes,
    held_reasons,
    standings,
    takers,
)

# What a producer was refused, or what was dropped or removed unsent; all of it is lost, or was never taken.
SHED = ("dropped", "refused", "expired")
_WORTH_TELLING = 0.1
_TALLIED = (*SHED, "uploadedRecords", "freedBytes")
# What it means that something isn't held for this reason any more.
_RELIEF = {
    HeldReason.LINK_DOWN: "LinkBack",
    HeldReason.METERED: "LinkUnmetered",
    HeldReason.WINDOW_CLOSED: "WindowOpened",
    HeldReason.BUDGET_USED: "BudgetRenewed",
    HeldReason.BUDGET_TOO_SMALL: "BudgetRaised",
    HeldReason.NOT_IN_POLICY: "PolicyChanged",
}


@dataclass(frozen=True)
class Overrun:
    """One that has begun, with what was seen since: the worst level, counts (`_TALLIED`), and what held the upload.

    `others` are the bytes of the disk, when it began, that no log took. `clear_since` is in ms since boot.
    """

    subject: Subject
    start: int
    level: float
    bound: float
    worst: float
    causes: tuple[str, ...]
    takers: tuple[tuple[str, int], ...]
    others: float
    seen: frozenset[str] = frozenset()
    tally: Mapping[str, int] = field(default_factory=dict)
    clear_since: int | None = None


@dataclass(frozen=True)
class Begun:
    """An overrun began."""

    overrun: Overrun


@dataclass(frozen=True)
class Ended:
    """An overrun ended at `end` (µs since 1970), by what remedied it."""

    overrun: Overrun
    end: int
    level: float
    remedies: tuple[str, ...]


@dataclass(frozen=True)
class IncidentState:
    """`over_since`: subjects over their limit for too short a time so far, with when that began, in ms since boot."""

    boot: str = ""
    open: tuple[Overrun, ...] = ()
    over_since: tuple[tuple[Subject, int], ...] = ()


def incidents(
    state: IncidentState, before: Snapshot | None, now: Snapshot
) -> tuple[IncidentState, tuple[Begun | Ended, ...]]:
    """What began and ended between two snapshots, the later one carrying the earlier.

    A subject that is there no more (its stream left the policy) isn't over any limit.
    """
    if state.boot != now.boot:
        # Times since another boot say nothing.
        state = IncidentState(now.boot, tuple(replace(each, clear_since=None) for each in state.open))
    found = standings(before, now)
    grown = total_growth({} if before is None else before.processes, now.processes)
    events: list[Begun | Ended] = []
    still_open: list[Overrun] = []
    for overrun in state.open:
        followed = _follow(overrun, found, grown, now)
        if followed.clear_since is not None and _lasted(followed.clear_since, now, ENDS_AFTER[overrun.subject.limit]):
            standing = found.get(overrun.subject)
            level = 0.0 if standing is None else standing.level
            events.append(Ended(followed, max(now.wall, followed.start), level, _remedies(followed, standing, now)))
        else:
            still_open.append(followed)
    known = {each.subject for each in state.open}
    waiting = dict(state.over_since)
    over_since: list[tuple[Subject, int]] = []
    for subject, standing in found.items():
        if standing.side is not Side.OVER or subject in known:
            continue
        since = waiting.get(subject, now.uptime)
        if _lasted(since, now, BEGINS_AFTER[subject.limit]):
            still_open.append(_begin(subject, standing, grown, now))
            events.append(Begun(still_open[-1]))
        else:
            over_since.append((subject, since))
    return IncidentState(now.boot, tuple(still_open), tuple(over_since)), tuple(events)


def _begin(subject: Subject, standing: Standing, grown: Mapping[Key, float], now: Snapshot) -> Overrun:
    levels = now.levels()
    return Overrun(
        subject=subject,
        start=now.wall,
        level=standing.level,
        bound=standing.bound,
        worst=standing.level,
        causes=causes(subject.limit, levels),
        takers=takers(subject, levels),
        others=_others(levels),
        seen=held_reasons(levels),
        tally=_added({}, subject, grown, now),
    )


def _follow(overrun: Overrun, found: Mapping[Subject, Standing], grown: Mapping[Key, float], now: Snapshot) -> Overrun:
    subject, standing = overrun.subject, found.get(overrun.subject)
    worst, clear_since = overrun.worst, None
    if standing is not None:
        worst = (min if subject.limit is Limit.DISK_FULL else max)(worst, standing.level)
    # Tiers are always there: one of which nothing is known, just after a start, isn't clear for that.
    if standing.side is Side.CLEAR if standing is not None else subject.limit is Limit.STREAM_FULL:
        clear_since = now.uptime if overrun.clear_since is None else overrun.clear_since
    held = held_reasons(now.levels())
    return replace(
        overrun,
        worst=worst,
        # A link that hangs is down for half a minute before anybody can tell.
        causes=tuple(sorted(held)) if held and overrun.causes == OUTRUN else overrun.causes,
        seen=overrun.seen | held,
        tally=_added(overrun.tally, overrun.subject, grown, now),
        clear_since=clear_since,
    )


def _added(tally: Mapping[str, int], subject: Subject, grown: Mapping[Key, float], now: Snapshot) -> dict[str, int]:
    """The counts with those added that concern the subject: its own stream's, or its tier's streams'."""
    tiers = now.tiers()
    of_stream = subject.limit is Limit.STREAM_FULL
    tier = tiers.get(subject.name) if of_stream else TIERS.index(subject.name)
    summed = dict(tally)
    for (name, *labels), value in grown.items():
        if name not in _TALLIED:
            continue
        match name:
            case "uploadedRecords":
                concerns = tier is not None and labels == [TIERS[tier]]
            case "freedBytes" if subject.limit is Limit.DISK_FULL:
                # Whoever frees the disk does it for all.
                concerns = True
            case _:
                concerns = labels == [subject.name] if of_stream else tiers.get(labels[0]) == tier
        if concerns:
            summed[name] = summed.get(name, 0) + round(value)
    return summed


def _remedies(overrun: Overrun, standing: Standing | None, now: Snapshot) -> tuple[str, ...]:
    levels, limit, tally = now.levels(), overrun.subject.limit, overrun.tally
    if standing is None:
        return ("StreamRemoved",)
    gone = overrun.seen - held_reasons(levels)
    found = [relief for reason, relief in _RELIEF.items() if reason.value in gone]
    if limit is Limit.DISK_FULL and overrun.others - _others(levels) > overrun.bound * _WORTH_TELLING:
        found.append("DiskFreed")
    if limit is Limit.STREAM_FULL and standing.bound > overrun.bound:
        found.append("LimitRaised")
    if limit in {Limit.STREAM_FULL, Limit.DISK_FULL} and tally.get("freedBytes"):
        found.append("UploadedSegmentsFreed")
    if limit in {Limit.QUEUE_LONG, Limit.BUDGET_SPENT} and tally.get("uploadedRecords"):
        found.append("Uploaded")
    if tally.get("expired"):
        found.append("Expired")
    return tuple(found) or ("IntakeFell",)


def _others(levels: Mapping[Key, float]) -> float:
    """Bytes of the disk that no log takes."""
    logs = sum(value for key, value in levels.items() if key[0] == "logBytes")
    return levels.get(("diskCapacity",), 0.0) - levels.get(("diskFree",), 0.0) - logs


def _lasted(since: int, now: Snapshot, seconds: float) -> bool:
    return now.uptime - since >= seconds * 1000
