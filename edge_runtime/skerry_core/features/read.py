"""Reads an entity's features at a moment.

A rolling window is the panes up to the one that `now` is in, that one included; a tumbling one is the last that is
over.

Count, Rate and Health of an entity with no event in the window are 0 as long as its newest event there is no older
than `ttl`: that nothing came is what they say. All others are NOT_FOUND then, and so is everything of an entity
without state. Values beyond the range of float64 are the largest float64 there is, with their sign.

Nothing is cached here. What OnStale.RECOMPUTE asks of a server is to read anew, or from the log, before it gives up.
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
    """A feature of an entity. `as_of` is when the newest event in it happened, `age_us` how long ago that is.

    What is derived from reference data is no fresher than they are: `as_of` is no later than theirs.
    `events` is how many events count in its window.
    What is OUTSIDE_MAX_AGE still tells its value; what is NOT_FOUND has none, and no age.
    """

    name: str
    value: Value | None
    status: FeatureStatus
    age_us: int | None
    as_of: int | None
    events: int = 0


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
            if feature.as_of is not None and feature.feature.aggregation is Aggregation.RECENCY:
                until = min(until, now_us + 1)  # its age doesn't tell it
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
        count, as_of = tally
        value = value_of(feature, window, now)
        if feature.as_of is not None:
            as_of = window.merged(feature.as_of)
    elif feature.feature.aggregation in _ZERO_IS_AN_ANSWER:
        before = _newest(panes, feature, end)
        if before is None:
            return _nothing(name)
        as_of, value = before, 0.0
    else:
        return _nothing(name)
    age = max(0, now - as_of)
    return FeatureValue(name, value, _PRESENT if age <= feature.ttl else _OUTSIDE_MAX_AGE, age, as_of, count)


def _newest(panes: dict[int, Pane], feature: FeaturePlan, end: int) -> int | None:
    """`as_of` of all events that count, in panes before `end`."""
    tally, as_of = feature.slots[0], feature.as_of
    counted = [pane for number, pane in panes.items() if number < end and pane[tally] is not None]
    return max((pane[tally][1] if as_of is None else pane[as_of] for pane in counted), default=None)


def _nothing(name: str) -> FeatureValue:
    return FeatureValue(name, None, FeatureStatus.NOT_FOUND, None, None)
