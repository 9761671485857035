"""What is kept of one entity: panes of event time, by their length.

How many panes are kept is counted, not timed: of each length the newest `keep` that hold anything. So one event with
an absurd time takes one place and wipes nothing, and which panes are kept doesn't depend on the order of arrival.

A node's clock can jump. Panes that begin later than the clock says, by more than the tolerance, are from when it was
ahead: they are counted apart, so that they don't push out those of today, nor are pushed out by a clock that
starts in 1970. They come back into use when the clock gets there.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from skerry_core.features.plan import Plan

FORMAT = 1
_MIN_TOLERANCE = 60_000_000

Pane = list[Any]
"""A value for each slot of the PanePlan; None where no event counted."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[int, list[list[tuple[int, list[Any]]]]]).decode


def tolerance(plan: Plan) -> int:
    """By how much a clock may step back before that is a jump, in microseconds."""
    return max(plan.lateness, _MIN_TOLERANCE)


class EntityState:
    """`panes[i]` holds the panes of `plan.panes[i]` by number: pane n begins at n * length. `apply` changes it."""

    __slots__ = ("panes",)

    def __init__(self, panes: list[dict[int, Pane]]) -> None:
        self.panes = panes

    @classmethod
    def empty(cls, plan: Plan) -> "EntityState":
        """The state before the first event."""
        return cls([{} for _ in plan.panes])

    def encode(self, plan: Plan) -> bytes:
        """Canonical: the same events give the same bytes, in whatever order and batches they came."""
        return _encode((FORMAT, [list(_packed(plan, i, panes)) for i, panes in enumerate(self.panes)]))

    @classmethod
    def decode(cls, plan: Plan, data: bytes) -> "EntityState":
        """What `encode` made under the same plan. ValueError for anything else."""
        try:
            version, lengths = _decode(data)
            if version != FORMAT or len(lengths) != len(plan.panes):
                raise ValueError("the state is of another format or plan")
            return cls([dict(_unpacked(plan, i, panes)) for i, panes in enumerate(lengths)])
        except (TypeError, IndexError, OverflowError) as error:
            raise ValueError("not a state of this plan") from error

    def trim(self, plan: Plan, clock: int) -> None:
        """Drop the oldest panes beyond those that are kept; `clock` is the time now, in microseconds."""
        limit = clock + tolerance(plan)
        for pane_plan, panes in zip(plan.panes, self.panes, strict=True):
            if len(panes) <= pane_plan.keep:
                continue
            split = limit // pane_plan.length
            for side in (
                sorted(number for number in panes if number <= split),
                sorted(number for number in panes if number > split),
            ):
                for number in side[: -pane_plan.keep]:
                    del panes[number]

    def absorb(self, plan: Plan, other: "EntityState", clock: int) -> None:
        """Take in the state of other events, which must not be used any more; `clock` is the time now."""
        for index, panes in enumerate(other.panes):
            mine = self.panes[index]
            for number, pane in panes.items():
                held = mine.get(number)
                mine[number] = pane if held is None else merge_panes(plan, index, held, pane)
        self.trim(plan, clock)

    def begins_after(self, plan: Plan, moment: int) -> bool:
        """Whether a pane begins later than `moment`."""
        return any(
            panes and max(panes) * pane_plan.length > moment
            for pane_plan, panes in zip(plan.panes, self.panes, strict=True)
        )

    def begins_between(self, plan: Plan, after: int, until: int) -> bool:
        """Whether a pane begins later than `after`, and not later than `until`."""
        return any(
            after < number * pane_plan.length <= until
            for pane_plan, panes in zip(plan.panes, self.panes, strict=True)
            for number in panes
        )


def merge_panes(plan: Plan, index: int, one: Pane, other: Pane) -> Pane:
    """The pane of all events of both, of length `plan.panes[index]`."""
    merged = []
    for slot, a, b in zip(plan.panes[index].slots, one, other, strict=True):
        if a is None:
            merged.append(b)
        elif b is None:
            merged.append(a)
        else:
            merged.append(slot.accumulator.merge(a, b))
    return merged


def merge(plan: Plan, one: EntityState, other: EntityState, clock: int) -> EntityState:
    """The state of all events of both, as if they had been applied to one; `clock` is the time now."""
    merged = EntityState([dict(panes) for panes in one.panes])
    for index, panes in enumerate(other.panes):
        mine = merged.panes[index]
        for number, pane in panes.items():
            mine[number] = merge_panes(plan, index, mine[number], pane) if number in mine else pane
    merged = EntityState([{number: list(pane) for number, pane in panes.items()} for panes in merged.panes])
    merged.trim(plan, clock)
    return merged


def _packed(plan: Plan, index: int, panes: dict[int, Pane]) -> Iterator[tuple[int, list[Any]]]:
    slots = plan.panes[index].slots
    for number in sorted(panes):
        pairs = zip(slots, panes[number], strict=True)
        yield number, [None if value is None else slot.accumulator.pack(value) for slot, value in pairs]


def _unpacked(plan: Plan, index: int, panes: list[tuple[int, list[Any]]]) -> Iterator[tuple[int, Pane]]:
    slots = plan.panes[index].slots
    for number, values in panes:
        pairs = zip(slots, values, strict=True)
        yield number, [None if value is None else slot.accumulator.unpack(value) for slot, value in pairs]
