"""Which records of a log the store has, and which go next. Pure; positions are sequence numbers.

A batch is named by the range (after, last] that it accounts for, so batches of one log may be sent in any order: the
hub puts them together. What was sent is kept as one position, up to which all is there, and ranges beyond it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from skerry_edge.events.record import FIRST_SEQ
from skerry_edge.sync.schedule.plan import Part

# Each newest-first batch of a log that outruns its link leaves a gap behind; with so many, the newest gap is drained
# from its old end.
MAX_RANGES = 64


@dataclass(frozen=True, slots=True, order=True)
class Range:
    """The numbers in (after, last]."""

    after: int
    last: int

    def __len__(self) -> int:
        return max(self.last - self.after, 0)


@dataclass(frozen=True, slots=True)
class Sent:
    """What of one log the store is known to have: all up to `acked`, and `ranges` beyond, ascending and disjoint."""

    acked: int = FIRST_SEQ - 1
    ranges: tuple[Range, ...] = ()

    def add(self, more: Iterable[Range]) -> "Sent":
        """What it has with these too."""
        acked = self.acked
        merged: list[Range] = []
        for part in sorted((*self.ranges, *more)):
            if part.after <= acked:
                acked = max(acked, part.last)
            elif merged and part.after <= merged[-1].last:
                merged[-1] = Range(merged[-1].after, max(merged[-1].last, part.last))
            elif len(part):
                merged.append(part)
        return Sent(acked, tuple(part for part in merged if part.last > acked))

    def gaps(self, head: int) -> list[Range]:
        """What it lacks up to `head`, ascending."""
        starts = [self.acked, *(part.last for part in self.ranges)]
        ends = [*(part.after for part in self.ranges), head]
        return [Range(start, min(end, head)) for start, end in zip(starts, ends, strict=True) if start < min(end, head)]

    def covers(self, wanted: Range) -> bool:
        """Whether it has all of a range."""
        return not len(wanted) or not any(
            gap.after < wanted.last and wanted.after < gap.last for gap in self.gaps(wanted.last)
        )

    def within(self, wanted: Range) -> list[Range]:
        """What of a range it has."""
        found = []
        at = wanted.after
        for gap in (*self.gaps(wanted.last), Range(wanted.last, wanted.last)):
            if gap.after > at:
                found.append(Range(at, gap.after))
            at = max(at, gap.last)
        return found

    @property
    def last(self) -> int:
        """The highest number that it has."""
        return self.ranges[-1].last if self.ranges else self.acked

    def to_wire(self) -> dict[str, Any]:
        """As it is noted on disk."""
        return {"acked": self.acked, "ranges": [[part.after, part.last] for part in self.ranges]}

    @classmethod
    def from_wire(cls, noted: Mapping[str, Any]) -> "Sent":
        """What `to_wire` gave. Raises ValueError, KeyError or TypeError if it is something else."""
        ranges = tuple(Range(int(after), int(last)) for after, last in noted["ranges"])
        return cls(int(noted["acked"])).add(ranges)


def without(ranges: Iterable[Range], done: Range) -> list[Range]:
    """What is left of ranges when one is done."""
    left = []
    for part in ranges:
        left += [Range(part.after, min(part.last, done.after)), Range(max(part.after, done.last), part.last)]
    return [part for part in left if len(part)]


def parts(sent: Sent, head: int) -> dict[Part, Range]:
    """What is newest of a log up to `head`, and the oldest of the rest; all is live while nothing was left behind."""
    if not sent.ranges:
        gap = Range(sent.acked, head)
        return {Part.LIVE: gap} if len(gap) else {}
    oldest = Range(sent.acked, sent.ranges[0].after)
    newest = Range(sent.ranges[-1].last, head)
    if not len(newest):
        newest = Range(sent.ranges[-2].last, sent.ranges[-1].after) if len(sent.ranges) > 1 else oldest
    return {Part.LIVE: oldest} if newest == oldest else {Part.LIVE: newest, Part.HISTORY: oldest}
