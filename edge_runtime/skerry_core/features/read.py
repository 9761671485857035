"""Reads an entity's features at a moment.

A rolling window is the panes up to the one that `now` is in, that one included; a tumbling one is the last that is
over.

Count, Rate and Health of an entity with no event in the window are 0 as long as its newest event there is no older
than `ttl`: that nothing came is what they say. All others are NOT_FOUND then, and so is everything of an entity
without state. Values beyond the range of float64 are the largest float64 there is, with their sign.

A value's age is that of its newest event. What is derived from reference data (what the site knows of its devices) is
no fresher than those: its age is theirs, if they were right (`asOf`) at an earlier time.

Nothing is cached here. What OnStale.RECOMPUTE asks of a server is to apply what is in the log and read once more before
it gives up (`Vector.recompute`).
"""

from enum import StrEnum
from typing import Any

import msgspec

from skerry_core.features.definition import Aggregation
from skerry_core.features.plan import FeaturePlan, Plan
from skerry_core.features.state import EntityState, Pane
from skerry_core.features.values import Value, Window, value_of

FOREVER = (1 << 63) - 1
_ZERO_IS_AN_ANSWER = frozenset({Aggregation.COUNT, Aggregation.RATE, Aggregation.HEALTH})


class FeatureStatus(StrEnum):
    """Feast's terms: there, not there, or older than its ttl."""

    PRESENT = "PRESENT"
    NOT_FOUND = "NOT_FOUND"
    OUTSIDE_MAX_AGE = "OUTSIDE_MAX_AGE"


# Looking a member up in its class takes as long as a comparison.
_PRESENT, _OUTSIDE_MAX_AGE = FeatureStatus.PRESENT, FeatureStatus.OUTSIDE_MAX_AGE


class FeatureValue(msgspec.Struct, frozen=True, gc=False):
    """A feature of an entity. `event_time` is that of the newest event in it, `age_us` how long ago `as_of` is.

    That is the same, but for what is derived from reference data: it is no fresher than they are. `events` is how many
    events count in its window.
    What is OUTSIDE_MAX_AGE still tells its value; what is NOT_FOUND has none, and no age.
    """

    name: str
    value: Value | None
    status: FeatureStatus
    age_us: int | None
    event_time: int | None
    events: int = 0
    as_of: int | None = None


class Reading(msgspec.Struct, frozen=True):
    """All features of a set, in its order.

    Before `until_us` another reading differs in ages and in Recency alone, if no event comes in between.
    """

    values: tuple[FeatureValue, ...]
    until_us: int


def read(plan: Plan, state: EntityState | None, now_us: int) -> Reading:
    """Read all features at `now_us`, microseconds since 1970."""
    if state is None:
        return Reading(tuple(_nothing(plan_.feature.name) for plan_ in plan.features), FOREVER)
    values: list[Any] = [None] * len(plan.features)
    until = FOREVER
    for members in plan.windows:
        first, end, change = bounds(plan, members[0][1], now_us)
        until = min(until, change)
        index = members[0][1].pane
        panes = state.panes[index]
        window = Window(plan.panes[index].slots, _within(panes, first, end))
        for place, feature in members:
            value = _read(feature, panes, window, end, now_us)
            values[place] = value
            if value.status is _PRESENT and value.as_of is not None:
                until = min(until, value.as_of + feature.ttl + 1)
    return Reading(tuple(values), until)


def bounds(plan: Plan, feature: FeaturePlan, now: int) -> tuple[int, int, int]:
    """At `now`, the numbers of a window's first pane and of the one after its last, and when they will be others."""
    length = plan.panes[feature.pane].length
    if feature.tumbling:
        over = now // feature.size
        end = over * feature.panes
        return end - feature.panes, end, (over + 1) * feature.size
    end = now // length + 1
    return end - feature.panes, end, end * length


def _within(panes: dict[int, Pane], first: int, end: int) -> list[tuple[int, Pane]]:
    return [(number, panes[number]) for number in sorted(panes) if first <= number < end]


def _read(feature: FeaturePlan, panes: dict[int, Pane], window: Window, end: int, now: int) -> FeatureValue:
    name = feature.feature.name
    tally = window.merged(feature.slots[0])
    count = 0
    if tally is not None:
        count, newest = tally[:2]
        value = value_of(feature, window, now)
    elif feature.feature.aggregation in _ZERO_IS_AN_ANSWER:
        tally = _before(panes, feature.slots[0], end)
        if tally is None:
            return _nothing(name)
        newest, value = tally[1], 0.0
    else:
        return _nothing(name)
    as_of = tally[2] if feature.derived else newest
    age = max(0, now - as_of)
    return FeatureValue(name, value, _PRESENT if age <= feature.ttl else _OUTSIDE_MAX_AGE, age, newest, count, as_of)


def _before(panes: dict[int, Pane], slot: int, end: int) -> Any:
    """The tally of all panes before `end`; None if nothing counted."""
    tallies: list[Any] = [pane[slot] for number, pane in panes.items() if number < end and pane[slot] is not None]
    return tuple(map(max, zip(*tallies, strict=True))) or None


def _nothing(name: str) -> FeatureValue:
    return FeatureValue(name, None, FeatureStatus.NOT_FOUND, None, None)
