"""Which numbers of a log name no record that can be read, and why. Pure."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from skerry_edge.events.block import DATA, LOST, Block
from skerry_edge.events.segment import ENDLESS, Damage


class HoleReason(StrEnum):
    """SKIPPED numbers were never acknowledged to anyone; REMOVED ones were, and their segment was unlinked."""

    SKIPPED = "Skipped"
    DAMAGED = "Damaged"
    EXPIRED = "Expired"
    REMOVED = "Removed"


@dataclass(frozen=True, slots=True)
class Hole:
    """Numbers `first` to `last`, both included."""

    first: int
    last: int
    reason: HoleReason


def holes_in(base: int, until: int, first: int | None, parts: Iterable[Block | Damage]) -> Iterator[Hole]:
    """Holes among the numbers that a segment speaks for, ascending; `first` is its header's, None if that is damaged.

    Between two blocks that lie side by side nothing was lost, so the numbers were skipped. What lies behind the last
    block is a hole only in a closed segment (`until` is not ENDLESS): the next one begins where this one truly ended.
    """
    at, damaged = base, first is None
    if first is not None and first > base:
        at = min(first, until)
        yield Hole(base, at - 1, HoleReason.SKIPPED)
    for part in parts:
        if isinstance(part, Damage):
            damaged = True
            continue
        if part.first >= until:
            break
        if part.first > at:
            yield Hole(at, part.first - 1, HoleReason.DAMAGED if damaged else HoleReason.SKIPPED)
        at, damaged = max(at, min(part.next_seq, until)), False
        if part.kind != DATA:
            yield Hole(part.first, at - 1, HoleReason.DAMAGED if part.kind == LOST else HoleReason.SKIPPED)
    if at < until != ENDLESS:
        yield Hole(at, until - 1, HoleReason.DAMAGED)


def overlap(holes: Iterable[Hole], first: int, last: int) -> Iterator[Hole]:
    """What of the holes lies within `first` to `last`."""
    for hole in holes:
        start, stop = max(hole.first, first), min(hole.last, last)
        if start <= stop:
            yield Hole(start, stop, hole.reason)
