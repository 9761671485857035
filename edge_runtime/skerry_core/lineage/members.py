"""Which events count in which feature of an entity at a moment: found anew, by the code that computes the features."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from skerry_core.features.apply import RawEvents, apply
from skerry_core.features.columns import Integers
from skerry_core.features.entity_key import entity_key
from skerry_core.features.evaluate import Evaluation
from skerry_core.features.plan import FeaturePlan, Plan
from skerry_core.features.read import bounds, read
from skerry_core.features.values import Value

if TYPE_CHECKING:
    from skerry_core.features.state import EntityState


@dataclass(frozen=True)
class Span:
    """Event time from `start` up to `end`, which isn't in it any more; µs since 1970."""

    start: int
    end: int


@dataclass(frozen=True)
class Members:
    """`rows` of the given events that count in each feature, and the value that they give; None for none."""

    rows: Mapping[str, Integers]
    values: Mapping[str, Value | None]


def span_of(plan: Plan, feature: FeaturePlan, now: int) -> Span:
    """A feature's window at `now`: whole panes."""
    first, end, _ = bounds(plan, feature, now)
    length = plan.panes[feature.pane].length
    return Span(first * length, end * length)


def reach_of(plan: Plan, names: Sequence[str], now: int) -> Span:
    """The span within which events can count in any of these features. KeyError for one that isn't in the set."""
    spans = [span_of(plan, plan.by_name[name], now) for name in names]
    return Span(min(span.start for span in spans), max(span.end for span in spans))


def members(plan: Plan, entity: Sequence[str], names: Sequence[str], now: int, events: RawEvents) -> Members:
    """Find the events of the entity with these parts that count in the features `names` at `now`.

    ValueError for parts that are no key, KeyError for a feature that isn't in the set.
    """
    key = entity_key(entity)
    plain = plain_parts(entity)
    named = np.array([may_name(body, plain) for body in events.bodies], dtype=np.bool_)
    candidates = np.flatnonzero(named & (events.received - events.time <= plan.lateness))
    normalized = plan.normalizer.normalize([events.bodies[row] for row in candidates.tolist()])
    mine = [at for at, found in enumerate(normalized.keys) if found == key]
    rows: Integers = candidates[np.array([normalized.rows[at] for at in mine], dtype=np.int64)]
    fields = {name: [values[at] for at in mine] for name, values in normalized.fields.items()}
    evaluation = Evaluation(plan, fields, len(mine))
    time = np.minimum(events.time[rows], events.received[rows])
    found: dict[str, Integers] = {}
    for name in names:
        feature = plan.by_name[name]
        span = span_of(plan, feature, now)
        counts = (time >= span.start) & (time < span.end)
        column = plan.panes[feature.pane].slots[feature.slots[0]].column
        mask = evaluation.column(plan.columns[column]).mask
        found[name] = rows[counts if mask is None else counts & mask]
    return Members(found, _values(plan, events, rows, key, names, now))


def _values(
    plan: Plan, events: RawEvents, rows: Integers, key: bytes, names: Sequence[str], now: int
) -> dict[str, Value | None]:
    states: dict[bytes, EntityState] = {}
    bodies = [events.bodies[row] for row in rows.tolist()]
    apply(plan, RawEvents(bodies, events.time[rows], events.received[rows]), states)
    reading = {value.name: value.value for value in read(plan, states.get(key), now).values}
    return {name: reading[name] for name in names}


def may_name(body: bytes, entity: Sequence[bytes]) -> bool:
    """False for an event that can't be about the entity: `entity` are the `plain_parts` of its key."""
    # An escape may stand for any character.
    return all(part in body for part in entity) or b"\\" in body


def plain_parts(entity: Sequence[str]) -> tuple[bytes, ...]:
    """Those parts of a key that JSON has one unescaped spelling of."""
    return tuple(part.encode() for part in entity if part.isprintable() and not set(part) & {'"', "\\"})
