"""A batch's contents before it is encoded, and how it is made to fit. Pure."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from skerry_core.batch.codec import Encoded
from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, Row
from skerry_edge.events.holes import Hole, HoleReason
from skerry_edge.sync.positions import Range

_REASONS = {
    HoleReason.SKIPPED: AbsentReason.SKIPPED,
    HoleReason.DAMAGED: AbsentReason.DAMAGED,
    HoleReason.EXPIRED: AbsentReason.EXPIRED,
    # Sent once, and then removed to make room.
    HoleReason.REMOVED: AbsentReason.SHED,
}
# What is cut to an estimate should fit; the next estimate is from a size that is nearer.
_MARGIN = 0.9


@dataclass(frozen=True, slots=True)
class Cut:
    """What a range of a log comes to: a row or a reason for each number in (after, last]."""

    after: int
    last: int
    rows: tuple[Row, ...]
    absent: tuple[Absent, ...]

    @property
    def range(self) -> Range:
        """The numbers that it accounts for."""
        return Range(self.after, self.last)

    def oldest(self, rows: int) -> "Cut":
        """Its first so many rows, fewer than it has, and everything up to the next one."""
        last = self.rows[rows].seq - 1
        return Cut(self.after, last, self.rows[:rows], _clipped(self.absent, self.after, last))

    def newest(self, rows: int) -> "Cut":
        """Its last so many rows, fewer than it has, and everything behind the one before."""
        after = self.rows[-rows - 1].seq
        return Cut(after, self.last, self.rows[-rows:], _clipped(self.absent, after, self.last))

    def batch(self, log: LogName) -> Batch:
        """The batch; ValueError if it doesn't account for every number."""
        return Batch(log, self.after, self.last, self.rows, self.absent)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A batch that fits; `encoded` is larger than what was allowed only if a single row is."""

    cut: Cut
    encoded: Encoded


def reasons(holes: Iterable[Hole]) -> list[Absent]:
    """Why the numbers of holes have no rows."""
    return [Absent(hole.first, hole.last, _REASONS[hole.reason]) for hole in holes]


def joined(absent: Iterable[Absent]) -> tuple[Absent, ...]:
    """Ranges in order, neighbours of one reason as one."""
    merged: list[Absent] = []
    for part in sorted(absent, key=lambda part: part.first):
        before = merged[-1] if merged else None
        if before is not None and before.reason is part.reason and before.last + 1 == part.first:
            merged[-1] = Absent(before.first, part.last, part.reason)
        else:
            merged.append(part)
    return tuple(merged)


def fit(cut: Cut, max_bytes: int, encode: Callable[[Cut], Encoded], *, newest: bool) -> Fitted:
    """Encode as much of a cut as `max_bytes` take: its newest rows or its oldest, at least one."""
    while True:
        encoded = encode(cut)
        size, rows = len(encoded.data), len(cut.rows)
        if size <= max_bytes or rows <= 1:
            return Fitted(cut, encoded)
        fewer = max(min(int(rows * max_bytes / size * _MARGIN), rows - 1), 1)
        cut = cut.newest(fewer) if newest else cut.oldest(fewer)


def _clipped(absent: Iterable[Absent], after: int, last: int) -> tuple[Absent, ...]:
    return tuple(
        Absent(max(part.first, after + 1), min(part.last, last), part.reason)
        for part in absent
        if part.first <= last and part.last > after
    )
