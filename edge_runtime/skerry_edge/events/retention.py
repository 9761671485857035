"""What is done to closed segments: they expire by age, and bodies in them are redacted."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from skerry_core.batch.flags import Flags
from skerry_core.durable import fsync_directory
from skerry_edge.events.active import write_segment
from skerry_edge.events.block import DATA, LOST, Block, columns_of, encode_block, encode_columns, encode_note
from skerry_edge.events.expiry import Moment, old_enough
from skerry_edge.events.record import BLANK, ColumnBatch, NewRecord
from skerry_edge.events.rows import Rows
from skerry_edge.events.segment import (
    ENDLESS,
    Damage,
    Header,
    header_of,
    open_segment,
    own_header,
    salt_of,
    scan,
    segment_firsts,
    segment_path,
    spans,
)
from skerry_edge.events.tail import AGE_SHARE

Predicate = Callable[[bytes], bool]


@dataclass(frozen=True)
class Closed:
    """A segment that nothing is written to any more: it speaks for numbers `base` to `until` - 1."""

    base: int
    until: int


def closed_segments(directory: Path, *, sealed: bool = False) -> list[Closed]:
    """A folder's closed segments, oldest first: all but the newest, which in a `sealed` folder is closed too.

    Raises OSError.
    """
    found = [Closed(base, until) for base, until in spans(segment_firsts(directory))]
    return found if sealed else found[:-1]


def expired(directory: Path, closed: list[Closed], now: Moment, max_age: timedelta) -> list[Closed]:
    """The oldest of `closed` that are past their age: all of their records are. Raises OSError."""
    max_age_ms = int(max_age.total_seconds() * 1000)
    gone = []
    for segment in closed:
        ended = _ended(directory, segment, max_age_ms)
        if ended is None or not old_enough(ended, now, max_age_ms):
            break
        gone.append(segment)
    return gone


def _ended(directory: Path, segment: Closed, max_age_ms: int) -> Moment | None:
    """When a segment was closed: when the next one whose header can be read was begun.

    The last one of a sealed folder was written for no longer than a segment may span.
    """
    if segment.until == ENDLESS:
        header = header_of(directory, segment.base)
        span = max_age_ms // AGE_SHARE
        return None if header is None else Moment(header.created + span * 1000, header.uptime + span, header.boot)
    for base in segment_firsts(directory):
        if base >= segment.until and (header := header_of(directory, base)) is not None:
            return Moment(header.created, header.uptime, header.boot)
    return None


def size_of(directory: Path, segment: Closed) -> int:
    """Bytes of a segment's file; 0 if it is gone meanwhile. Raises OSError."""
    try:
        return segment_path(directory, segment.base).stat().st_size
    except FileNotFoundError:
        return 0


def count_records(directory: Path, epoch: str, segment: Closed) -> int:
    """Records that can be read from a closed segment; 0 if it is gone meanwhile. Raises OSError."""
    with open_segment(directory, segment.base) as descriptor:
        if descriptor is None:
            return 0
        blocks = _visible(scan(descriptor, salt_of(epoch, segment.base)), segment.until)
        return sum(min(block.next_seq, segment.until) - block.first for block in blocks if block.kind == DATA)


def last_number(directory: Path, epoch: str, segment: Closed) -> int:
    """The highest number that can be read from a closed segment, else the one before its base. Raises OSError."""
    with open_segment(directory, segment.base) as descriptor:
        parts = () if descriptor is None else scan(descriptor, salt_of(epoch, segment.base))
        ends = [min(block.next_seq, segment.until) for block in _visible(iter(parts), segment.until)]
    return max(ends, default=segment.base) - 1


def remove(directory: Path, segments: list[Closed]) -> None:
    """Unlink segments, oldest first, durably. Raises OSError."""
    for segment in segments:
        segment_path(directory, segment.base).unlink(missing_ok=True)
    if segments:
        fsync_directory(directory)


def redact_segment(directory: Path, epoch: str, segment: Closed, matches: Predicate) -> int:
    """Durably blank the bodies of a closed segment's matching records; how many there were.

    Numbers, times and order stay. Damaged bytes, and whatever another segment superseded, may hold what is to go, so a
    segment with any is written anew without them; the numbers that the damage cost stay noted. 0 if the segment is
    gone. Raises OSError; the segment is then as it was.
    """
    with open_segment(directory, segment.base) as descriptor:
        if descriptor is None:
            return 0
        header = own_header(descriptor, epoch, segment.base)
        rewrite = _Rewrite(salt_of(epoch, segment.base), segment, header, matches)
        for part in scan(descriptor, rewrite.salt):
            rewrite.take(part)
    if not rewrite.needed or not segment_path(directory, segment.base).exists():
        return 0
    write_segment(directory, header or Header(epoch, segment.base, segment.base, 0, 0, 0, 0), rewrite.blocks)
    return rewrite.count


def _visible(parts: Iterator[Block | Damage], until: int) -> Iterator[Block]:
    return (part for part in parts if isinstance(part, Block) and part.first < until)


class _Rewrite:
    """A segment's blocks without what is to go."""

    def __init__(self, salt: int, segment: Closed, header: Header | None, matches: Predicate) -> None:
        self.salt = salt
        self.blocks: list[bytearray] = []
        self.count = 0
        self.needed = False
        self._until = segment.until
        self._matches = matches
        self._at = segment.base if header is None else header.first
        self._damaged = header is None

    def take(self, part: Block | Damage) -> None:
        if isinstance(part, Damage) or part.first >= self._until:
            self.needed = True
            self._damaged = self._damaged or isinstance(part, Damage)
            return
        if self._damaged and part.first > self._at:
            self.blocks.append(encode_note(self.salt, LOST, self._at, part.first - self._at))
        self._at, self._damaged = part.next_seq, False
        if part.kind != DATA:
            self.blocks.append(encode_note(self.salt, part.kind, part.first, part.count))
            return
        batch = columns_of(part)
        if part.next_seq > self._until:
            self.needed, batch = True, batch.part(0, self._until - part.first)
        chosen = self._chosen(batch)
        self.count += len(chosen)
        self.needed = self.needed or bool(chosen)
        self.blocks.append(_blanked(self.salt, batch, chosen) if chosen else encode_columns(self.salt, batch))

    def _chosen(self, batch: ColumnBatch) -> frozenset[int]:
        visible = np.flatnonzero(batch.flags & Flags.REDACTED == 0).tolist()
        return frozenset(index for index in visible if self._matches(batch.body(index)))


def _blanked(salt: int, batch: ColumnBatch, chosen: frozenset[int]) -> bytearray:
    records = [NewRecord(record.body, record.time, record.received, record.flags) for record in batch.records()]
    for index in chosen:
        record = records[index]
        records[index] = NewRecord(BLANK, record.time, record.received, record.flags | Flags.REDACTED)
    return encode_block(salt, batch.first, batch.hlc.tolist(), Rows.of(records))
