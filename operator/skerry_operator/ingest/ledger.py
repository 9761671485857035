"""What a table has of each log, and how that is written into the table itself.

Delta keeps, for every application id, the last version that a commit carried ("transaction identifiers" in its
protocol), in the same commit as the rows. One id holds the position up to which a log is in without a gap; pairs of
numbered ids hold what is in beyond it. Numbers are used again, since Delta never forgets an id.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from skerry_core.batch.contents import LogName


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """The sequence numbers in (`after`, `last`], as a batch's key names them; never empty."""

    after: int
    last: int

    def __post_init__(self) -> None:
        if not 0 <= self.after < self.last:
            raise ValueError(f"({self.after}, {self.last}] is no span")

    def __len__(self) -> int:
        return self.last - self.after


@dataclass(frozen=True, slots=True)
class Ledger:
    """The sequence numbers of one log that a table has accounted for: all up to `position`, and those in `beyond`.

    The spans of `beyond` ascend and touch neither each other nor `position`, so equal sets are equal ledgers.
    """

    position: int = 0
    beyond: tuple[Span, ...] = ()

    def taken(self, spans: Iterable[Span]) -> "Ledger":
        """This and the given sequence numbers."""
        position = self.position
        beyond: list[Span] = []
        for span in sorted((*self.beyond, *spans)):
            if span.after <= position:
                position = max(position, span.last)
            elif beyond and span.after <= beyond[-1].last:
                beyond[-1] = Span(beyond[-1].after, max(beyond[-1].last, span.last))
            else:
                beyond.append(span)
        return Ledger(position, tuple(beyond))

    def missing(self, span: Span) -> tuple[Span, ...]:
        """What of a span is not in."""
        return tuple(
            Span(max(hole.after, span.after), min(hole.last, span.last))
            for hole in (*self.gaps, Span(self._end, max(span.last, self._end + 1)))
            if max(hole.after, span.after) < min(hole.last, span.last)
        )

    @property
    def gaps(self) -> tuple[Span, ...]:
        """What is missing below the highest sequence number that is in."""
        ends = (self.position, *(span.last for span in self.beyond))
        return tuple(Span(end, span.after) for end, span in zip(ends, self.beyond, strict=False))

    @property
    def _end(self) -> int:
        return self.beyond[-1].last if self.beyond else self.position


_EMPTY = Ledger()
_ID = re.compile(r"([^/#]+)/([^/#]+)/([^/#]+)/([^/#]+)(?:#([0-9]+)\.(after|last))?")


def to_transactions(log: LogName, ledger: Ledger, before: Ledger = _EMPTY) -> dict[str, int]:
    """The application ids to commit, with their versions, to get from one ledger to another."""
    new, old = dict(_entries(log, ledger)), dict(_entries(log, before))
    freed = {name: 0 for name in old if name not in new}
    return {name: version for name, version in (new | freed).items() if old.get(name) != version}


def from_transactions(versions: Mapping[str, int]) -> dict[LogName, Ledger]:
    """The ledgers of all logs that a table's application ids tell of; other people's ids are passed over."""
    positions: dict[LogName, int] = {}
    slots: dict[tuple[LogName, str], dict[str, int]] = {}
    for name, version in versions.items():
        match = _ID.fullmatch(name)
        if match is None:
            continue
        site, node, stream, epoch, slot, end = match.groups()
        log = LogName(site, node, stream, epoch)
        if slot is None:
            positions[log] = version
        else:
            slots.setdefault((log, slot), {})[end] = version
    beyond: dict[LogName, list[Span]] = {}
    for (log, _), ends in slots.items():
        after, last = ends.get("after", 0), ends.get("last", 0)
        if after < last:
            beyond.setdefault(log, []).append(Span(after, last))
    return {log: Ledger(positions.get(log, 0)).taken(beyond.get(log, ())) for log in positions.keys() | beyond.keys()}


def _entries(log: LogName, ledger: Ledger) -> Iterator[tuple[str, int]]:
    name = f"{log.site}/{log.node}/{log.stream}/{log.epoch}"
    if ledger.position:
        yield name, ledger.position
    for slot, span in enumerate(ledger.beyond):
        yield f"{name}#{slot}.after", span.after
        yield f"{name}#{slot}.last", span.last
