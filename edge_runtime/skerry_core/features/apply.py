"""Applies a batch of events to the states of the entities that they are about.

- Late is judged by the log's two times alone: received - time > allowed lateness. Such events are left out.
- An event that says it happened after it was received is taken as of when it was received: a device's clock that is
  ahead can't reach beyond the node's.
- A batch is worked off as if its events came one by one, so batching makes no difference. Only where the node's clock
  jumped is it really done so (see `state`).
"""

from collections.abc import Iterator, MutableMapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from skerry_core.features.columns import Column, Groups, Integers, group
from skerry_core.features.evaluate import Evaluation
from skerry_core.features.normalize import Refusal
from skerry_core.features.plan import PanePlan, Plan
from skerry_core.features.state import EntityState, Pane, tolerance


@dataclass(frozen=True)
class RawEvents:
    """n events in the log's order: bodies as stored; int64 [n] each, in microseconds, of when it happened and came.

    Columns are held beside the bodies, eight bytes and more a value, so bound a batch by its bytes, too.
    """

    bodies: Sequence[bytes]
    time: Integers
    received: Integers


@dataclass(frozen=True)
class Applied:
    """Keys of the entities whose state changed, refused events (by row of the batch), and how many came too late.

    `undecided` counts values and filters that could not be computed (null, an error, not finite): such an event
    doesn't count in that column, and counts in others.
    """

    changed: frozenset[bytes]
    refusals: tuple[Refusal, ...]
    late: int
    undecided: int = 0


@dataclass(frozen=True)
class _Batch:
    """Columns of n rows, with each row's entity (by number in `states`), time, and the clock when it was received."""

    columns: Sequence[Column]
    states: Sequence[EntityState]
    entity: Integers
    time: Integers
    received: Integers

    def rows(self, at: Integers | slice) -> "_Batch":
        """Some of the rows."""
        columns = [
            Column(
                None if column.values is None else column.values[at],
                None if column.mask is None else column.mask[at],
                None if column.as_of is None else column.as_of[at],
            )
            for column in self.columns
        ]
        return _Batch(columns, self.states, self.entity[at], self.time[at], self.received[at])


@dataclass(frozen=True)
class Taken:
    """What counts of a batch: n events by their `rows` in it, each one's entity, and the columns that are read of them.

    `time` is when it happened, or was received if that was earlier. `late`, `refusals` and `undecided` as of Applied.
    """

    rows: Integers
    keys: Sequence[bytes]
    columns: Sequence[Column]
    time: Integers
    received: Integers
    refusals: tuple[Refusal, ...]
    late: int
    undecided: int


def take(plan: Plan, events: RawEvents) -> Taken:
    """Leave out what came too late, refuse what the set doesn't understand, and compute the columns of the rest."""
    in_time = events.received - events.time <= plan.lateness
    taken: Integers = np.flatnonzero(in_time)
    late = len(events.bodies) - len(taken)
    bodies = events.bodies if not late else [events.bodies[row] for row in taken.tolist()]
    normalized = plan.normalizer.normalize(bodies)
    refusals = tuple(Refusal(int(taken[r.row]), r.reason, r.field) for r in normalized.refusals)
    rows = taken[np.array(normalized.rows, dtype=np.int64)]
    columns: list[Column] = []
    undecided = 0
    if normalized.rows:
        evaluation = Evaluation(plan, normalized.fields, len(normalized.rows))
        columns = [evaluation.column(column) for column in plan.columns]
        undecided = evaluation.undecided
    received = events.received[rows]
    time = np.minimum(events.time[rows], received)
    if normalized.rows and normalized.as_of is not None:
        as_of = np.minimum(time, normalized.as_of)
        columns = [
            replace(column, as_of=as_of) if planned.derived else column
            for planned, column in zip(plan.columns, columns, strict=True)
        ]
    return Taken(rows, normalized.keys, columns, time, received, refusals, late, undecided)


def apply(plan: Plan, events: RawEvents, states: MutableMapping[bytes, EntityState]) -> Applied:
    """Apply a batch. `states` is by entity key (see `entity_key`): what is there is changed, what is missing is added.

    Nothing in an event makes it raise. If it does (no memory), states may be half changed: read them again.
    """
    return put(plan, take(plan, events), states)


def put(plan: Plan, taken: Taken, states: MutableMapping[bytes, EntityState]) -> Applied:
    """The half of `apply` that needs states."""
    if not taken.keys:
        return Applied(frozenset(), taken.refusals, taken.late)
    numbers = {key: number for number, key in enumerate(dict.fromkeys(taken.keys))}
    entity = np.array(list(map(numbers.__getitem__, taken.keys)), dtype=np.int64)
    for key in numbers:
        if key not in states:
            states[key] = EntityState.empty(plan)
    batch = _Batch(taken.columns, [states[key] for key in numbers], entity, taken.time, taken.received)
    for part in _steady(batch, tolerance(plan)):
        _apply(plan, part)
    return Applied(frozenset(numbers), taken.refusals, taken.late, taken.undecided)


def partials(plan: Plan, taken: Taken, owner: Integers, count: int) -> list[EntityState]:
    """States of `count` owners, each of its own events alone: event i is of `owner[i]`. Nothing is trimmed.

    An owner is a stretch of an entity's events. Absorbed one after the other (`EntityState.absorb`) they come to what
    `apply` makes of these events, as long as the clock never falls back by more than `tolerance`.
    """
    batch = _Batch(taken.columns, [EntityState.empty(plan) for _ in range(count)], owner, taken.time, taken.received)
    if len(taken.rows):
        for index, pane_plan in enumerate(plan.panes):
            _fill_empty(pane_plan, index, batch)
    return list(batch.states)


def _steady(batch: _Batch, allowed: int) -> Iterator[_Batch]:
    """Stretches of a batch within which the clock never falls back by more than is allowed."""
    start, received = 0, batch.received
    while True:
        rest = received[start:]
        jumps = np.flatnonzero(np.maximum.accumulate(rest) - rest > allowed)
        if not len(jumps):
            yield batch.rows(slice(start, None)) if start else batch
            return
        yield batch.rows(slice(start, start + int(jumps[0])))
        start += int(jumps[0])


def _apply(plan: Plan, batch: _Batch) -> None:
    low, high = int(batch.received.min()), int(batch.received.max())
    if low < high:
        allowed = tolerance(plan)
        passed = [
            number
            for number in np.unique(batch.entity).tolist()
            if batch.states[number].begins_after(plan, low + allowed)
            and batch.states[number].begins_between(plan, low + allowed, high + allowed)
        ]
        if passed:
            # The clock passes panes from when it was ahead: which are counted apart changes from event to event.
            single = np.isin(batch.entity, passed)
            for row in np.flatnonzero(single).tolist():
                _apply(plan, batch.rows(slice(row, row + 1)))
            others = np.flatnonzero(~single)
            if len(others):
                _apply(plan, batch.rows(others))
            return
    for index, pane_plan in enumerate(plan.panes):
        _fill(pane_plan, index, batch)
    for number in np.unique(batch.entity).tolist():
        batch.states[number].trim(plan, high)


def _fill(pane_plan: PanePlan, index: int, batch: _Batch) -> None:
    """Put a batch into the panes of one length."""
    gathered = _gather(pane_plan, batch)
    panes = _panes(batch.states, index, gathered.entities, gathered.numbers, len(pane_plan.slots))
    for place, (slot, ids, values) in enumerate(zip(pane_plan.slots, gathered.ids, gathered.values, strict=True)):
        merge = slot.accumulator.merge
        for label, value in zip(ids, values, strict=True):
            pane = panes[label]
            held = pane[place]
            pane[place] = value if held is None else merge(held, value)


def _fill_empty(pane_plan: PanePlan, index: int, batch: _Batch) -> None:
    """The same where there is no pane yet."""
    gathered = _gather(pane_plan, batch)
    count = len(gathered.numbers)
    slots: list[Sequence[Any]] = []
    for ids, values in zip(gathered.ids, gathered.values, strict=True):
        if len(ids) == count:
            slots.append(values)
            continue
        sparse: list[Any] = [None] * count
        for label, value in zip(ids, values, strict=True):
            sparse[label] = value
        slots.append(sparse)
    for entity, number, pane in zip(gathered.entities, gathered.numbers, zip(*slots, strict=True), strict=True):
        batch.states[entity].panes[index][number] = list(pane)


@dataclass(frozen=True)
class _Gathered:
    """Panes that a batch has events of, by entity and number; of each slot the values, and which panes they go into."""

    entities: list[int]
    numbers: list[int]
    ids: list[list[int]]
    values: list[list[Any]]


def _gather(pane_plan: PanePlan, batch: _Batch) -> _Gathered:
    number = batch.time // pane_plan.length
    order = np.lexsort((number, batch.entity))
    entity, number = batch.entity[order], number[order]
    fresh = np.concatenate(([True], (entity[1:] != entity[:-1]) | (number[1:] != number[:-1])))
    labels = np.empty(len(order), dtype=np.int64)
    labels[order] = np.cumsum(fresh) - 1
    grouped: dict[int, Groups] = {}
    plain: Groups | None = None
    ids, values = [], []
    for slot in pane_plan.slots:
        if slot.column not in grouped:
            mask = batch.columns[slot.column].mask
            if mask is None:
                plain = plain or group(labels, order, None, batch.time)
                grouped[slot.column] = plain
            else:
                grouped[slot.column] = group(labels, order, mask, batch.time)
        groups = grouped[slot.column]
        ids.append(groups.ids.tolist())
        column = batch.columns[slot.column]
        values.append(slot.accumulator.gather(column, groups) if len(groups.ids) else [])
    return _Gathered(entity[fresh].tolist(), number[fresh].tolist(), ids, values)


def _panes(
    states: Sequence[EntityState], index: int, entities: list[int], numbers: list[int], slots: int
) -> list[Pane]:
    """The pane of each group, made where there is none yet."""
    found = []
    for entity, number in zip(entities, numbers, strict=True):
        panes = states[entity].panes[index]
        pane = panes.get(number)
        if pane is None:
            pane = panes[number] = [None] * slots
        found.append(pane)
    return found
