"""What a batch holds: the rows of one log between two positions, and why the others are not there."""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

MAX_SEQ = 2**63 - 1


class AbsentReason(StrEnum):
    """Why a sequence number has no row in its batch, and never will."""

    SKIPPED = "Skipped"  # the log never gave it out (a jump after a power cut)
    EXPIRED = "Expired"
    CONSENT = "Consent"
    SAMPLED = "Sampled"
    DAMAGED = "Damaged"
    SHED = "Shed"


@dataclass(frozen=True, slots=True)
class LogName:
    """One stream's log on one node; with a sequence number, the identity of an event everywhere."""

    site: str
    node: str
    stream: str
    epoch: str


@dataclass(frozen=True, slots=True)
class Absent:
    """The sequence numbers `first` to `last`, both included, have no row."""

    first: int
    last: int
    reason: AbsentReason


@dataclass(frozen=True, slots=True)
class Row:
    """One event: `hlc` the hybrid logical clock, `time` and `received` in µs since 1970 UTC, `body` a JSON object."""

    seq: int
    hlc: int
    time: int
    received: int
    flags: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """Accounts once for every sequence number in (`after`, `last`]: by a row, or by a range of absent ones.

    Rows and ranges ascend. ValueError if they don't, overlap, or leave a number out.
    """

    log: LogName
    after: int
    last: int
    rows: tuple[Row, ...]
    absent: tuple[Absent, ...] = ()

    def __post_init__(self) -> None:
        check_positions(self.after, self.last)
        check_absent(self.after, self.last, self.absent)
        runs = present_runs(self.after, self.last, self.absent)
        if len(self.rows) != sum(count for _, count in runs):
            raise ValueError(f"{len(self.rows)} rows don't fill what is not absent of ({self.after}, {self.last}]")
        rows = iter(self.rows)
        for first, count in runs:
            for seq, row in zip(range(first, first + count), rows, strict=False):
                if row.seq != seq:
                    raise ValueError(f"row {row.seq} stands where {seq} belongs")


def check_positions(after: int, last: int) -> None:
    """ValueError unless 0 <= after <= last and both fit a signed 64-bit integer."""
    if not 0 <= after <= last <= MAX_SEQ:
        raise ValueError(f"({after}, {last}] is no range of positions")


def check_absent(after: int, last: int, absent: tuple[Absent, ...]) -> None:
    """ValueError unless the ranges ascend, don't overlap, and lie within (after, last]."""
    for one in absent:
        if not after < one.first <= one.last <= last:
            raise ValueError(f"absent {one.first}-{one.last} is no range within ({after}, {last}]")
    for before, behind in pairwise(absent):
        if behind.first <= before.last:
            raise ValueError(f"absent ranges {before.first}-{before.last} and {behind.first}-{behind.last} overlap")


def present_runs(after: int, last: int, absent: tuple[Absent, ...]) -> list[tuple[int, int]]:
    """What the ranges leave of (after, last]: runs of rows as (first sequence number, count)."""
    ends = [after, *(one.last for one in absent)]
    starts = [*(one.first for one in absent), last + 1]
    return [(end + 1, start - end - 1) for end, start in zip(ends, starts, strict=True) if start - end > 1]
