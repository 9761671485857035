"""Limits that a node can run into: which of them it is past, and why. Pure.

Each limit has a mark at which an overrun begins and one, well on this side of it, at which it ends; between the two
everything stays as it is. So what swings around a limit is one overrun and not a hundred.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from skerry_edge.events.admission import floor_bytes
from skerry_edge.sync.schedule.plan import HeldReason
from skerry_edge.telemetry.catalogue import TIERS
from skerry_edge.telemetry.measures import Key, Snapshot

# A stream that is so full will be at its limit with the next segment or two.
_STREAM_BEGINS, _STREAM_ENDS = 0.95, 0.85
_DISK_ENDS = 1.125
# Some minutes' records at a rate that a small node can have, so a short cut of the link isn't told as an overrun.
QUEUE_RECORDS = 50_000
_QUEUE_ENDS = 0.5
_CRITICAL = TIERS[0]
_SPENT = frozenset({HeldReason.BUDGET_USED.value, HeldReason.BUDGET_TOO_SMALL.value})


class Limit(StrEnum):
    """What can be overrun."""

    STREAM_FULL = "StreamFull"
    DISK_FULL = "DiskFull"
    QUEUE_LONG = "QueueLong"
    BUDGET_SPENT = "BudgetSpent"


class Side(StrEnum):
    """Where a level stands by its limit."""

    OVER = "Over"
    BETWEEN = "Between"
    CLEAR = "Clear"


# For how many seconds a level must be over before that is an overrun, and clear before it has ended.
BEGINS_AFTER: Mapping[Limit, float] = {
    Limit.STREAM_FULL: 0.0,
    Limit.DISK_FULL: 0.0,
    Limit.QUEUE_LONG: 0.0,
    # A budget of an hour is used up in every hour that has much to send; that alone delays nothing for long.
    Limit.BUDGET_SPENT: 300.0,
}
ENDS_AFTER: Mapping[Limit, float] = {
    Limit.STREAM_FULL: 30.0,
    Limit.DISK_FULL: 30.0,
    Limit.QUEUE_LONG: 0.0,
    Limit.BUDGET_SPENT: 60.0,
}


@dataclass(frozen=True, order=True)
class Subject:
    """One limit of one stream, or of one tier (by name)."""

    limit: Limit
    name: str


OUTRUN = ("IntakeOutrunsUpload",)
"""The cause where nothing holds the upload."""


@dataclass(frozen=True)
class Standing:
    """Where a subject stands: its level and its bound in bytes, of a queue in records, of a disk in bytes free."""

    side: Side
    level: float
    bound: float


def standings(before: Snapshot | None, now: Snapshot) -> dict[Subject, Standing]:
    """Every subject that there is, as of `now`; a queue that doesn't grow any more isn't over its bound anew."""
    levels = now.levels()
    earlier = {} if before is None else before.levels()
    found = dict(_streams(levels))
    found.update(_disk(levels))
    for tier in TIERS:
        queued = levels.get(("queueRecords", tier))
        if queued is None:
            continue
        growing = queued > earlier.get(("queueRecords", tier), 0.0)
        over = queued > QUEUE_RECORDS and growing
        side = _side(over=over, clear=queued < QUEUE_RECORDS * _QUEUE_ENDS)
        found[Subject(Limit.QUEUE_LONG, tier)] = Standing(side, queued, QUEUE_RECORDS)
    waiting = levels.get(("queueRecords", _CRITICAL))
    if waiting is not None:
        spent = waiting > 0 and any(levels.get(("held", _CRITICAL, reason)) for reason in _SPENT)
        found[Subject(Limit.BUDGET_SPENT, _CRITICAL)] = Standing(_side(over=spent, clear=not spent), waiting, 0.0)
    return found


def held_reasons(levels: Mapping[Key, float]) -> frozenset[str]:
    """Why anything waits."""
    return frozenset(key[2] for key, value in levels.items() if key[0] == "held" and value)


def causes(limit: Limit, levels: Mapping[Key, float]) -> tuple[str, ...]:
    """Why a limit was overrun, as far as the node can tell: what holds the upload, or else who is too fast."""
    if limit is Limit.DISK_FULL:
        logs = _logs(levels)
        others = levels.get(("diskCapacity",), 0.0) - levels.get(("diskFree",), 0.0) - logs
        told: tuple[str, ...] = ("LogsGrew",) if logs > others else ("OthersGrew",)
        return (*told, *sorted(held_reasons(levels)))
    if limit is Limit.BUDGET_SPENT:
        return tuple(sorted(held_reasons(levels) & _SPENT))
    return tuple(sorted(held_reasons(levels))) or OUTRUN


def takers(subject: Subject, levels: Mapping[Key, float], most: int = 3) -> tuple[tuple[str, int], ...]:
    """What takes most of the space, in bytes: streams, or tiers of the queue; of a disk also all that is no log."""
    if subject.limit in {Limit.QUEUE_LONG, Limit.BUDGET_SPENT}:
        sizes = {key[1]: value for key, value in levels.items() if key[0] == "queueBytes"}
    else:
        sizes = {key[1]: value for key, value in levels.items() if key[0] == "logBytes"}
    if subject.limit is Limit.DISK_FULL:
        used = levels.get(("diskCapacity",), 0.0) - levels.get(("diskFree",), 0.0)
        sizes["(other)"] = max(used - _logs(levels), 0.0)
    largest = sorted(((name, round(size)) for name, size in sizes.items() if size > 0), key=lambda item: -item[1])
    return tuple(largest[:most])


def _streams(levels: Mapping[Key, float]) -> Iterator[tuple[Subject, Standing]]:
    for key, bound in levels.items():
        if key[0] == "logLimit" and bound > 0:
            level = levels.get(("logBytes", key[1]), 0.0)
            side = _side(over=level >= bound * _STREAM_BEGINS, clear=level < bound * _STREAM_ENDS)
            yield Subject(Limit.STREAM_FULL, key[1]), Standing(side, level, bound)


def _disk(levels: Mapping[Key, float]) -> Iterator[tuple[Subject, Standing]]:
    free, capacity = levels.get(("diskFree",)), levels.get(("diskCapacity",))
    if free is None or capacity is None:
        return
    for rank, tier in enumerate(TIERS):
        floor = floor_bytes(rank, round(capacity))
        side = _side(over=free < floor, clear=free >= floor * _DISK_ENDS)
        yield Subject(Limit.DISK_FULL, tier), Standing(side, free, floor)


def _logs(levels: Mapping[Key, float]) -> float:
    return sum(value for key, value in levels.items() if key[0] == "logBytes")


def _side(*, over: bool, clear: bool) -> Side:
    if over:
        return Side.OVER
    return Side.CLEAR if clear else Side.BETWEEN
