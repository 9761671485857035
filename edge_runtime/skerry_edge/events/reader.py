"""Reading a log by sequence number, while another process writes it and a third removes what it has uploaded."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
import structlog

from skerry_edge.events.block import DATA, Block, columns_of
from skerry_edge.events.holes import Hole, HoleReason, holes_in, overlap
from skerry_edge.events.identity import ASIDE, LogIdentity, read_identity
from skerry_edge.events.mark import read_mark
from skerry_edge.events.record import ColumnBatch
from skerry_edge.events.rows import RECORD_BYTES
from skerry_edge.events.segment import (
    BLOCKS_AT,
    ENDLESS,
    Damage,
    open_segment,
    own_header,
    salt_of,
    scan,
    segment_firsts,
    spans,
)

DEFAULT_BYTES = 1 << 20
# A segment that was begun while the folder was being listed makes the list old.
_LISTINGS = 3

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a reader stands: in file `inode` of segment `base`, every number before byte `offset` is below `seq`.

    `block` is the one that begins there, if a part of it was read: it is read and checked only once.
    """

    base: int
    inode: int
    offset: int
    seq: int
    block: Block | None


@dataclass(frozen=True, slots=True)
class _Span:
    """A segment, the number before which it ends, and how many of its bytes may be read (None: all)."""

    base: int
    until: int
    end: int | None


class LogReader:
    """Reads one log. Asked for what follows, it goes on where it stood instead of scanning the segment anew.

    What is not durable yet isn't there yet. Damaged bytes are reported in the process's log and show as missing
    numbers, as do segments that another process removed; the rest is read. Used by one thread.
    """

    def __init__(self, directory: Path) -> None:
        """Nothing needs to be there yet."""
        self._directory = directory
        self._sealed = ASIDE in directory.name
        self._identity: LogIdentity | None = None
        self._stamp: tuple[int, int] | None = None
        self._place: _Place | None = None
        self._reported: set[tuple[int, int]] = set()

    @property
    def identity(self) -> LogIdentity | None:
        """Which log this is as of now; None while there is none. Another epoch is another log. Raises OSError."""
        try:
            status = (self._directory / "log.json").stat()
        except FileNotFoundError:
            return None
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp != self._stamp:
            found = read_identity(self._directory)
            if found is None or self._identity is None or found.epoch != self._identity.epoch:
                self._place = None
            self._identity, self._stamp = found, stamp
        return self._identity

    def read(self, seq: int, max_records: int, max_bytes: int = DEFAULT_BYTES) -> list[ColumnBatch]:
        """Read records numbered `seq` and up, oldest first, in batches of at most these sizes in all, but at least one.

        Empty if there are none yet. Raises OSError if the folder or a segment can't be read.
        """
        identity = self.identity
        batches: list[ColumnBatch] = []
        if identity is None:
            return batches
        room = _Room(max_records, max_bytes)
        for span in self._spans(identity.epoch):
            if span.until <= seq:
                continue
            with open_segment(self._directory, span.base) as descriptor:
                if descriptor is None:
                    continue
                reached = None
                for block, batch in self._segment(descriptor, identity.epoch, span, max(seq, span.base)):
                    part = room.take(batch)
                    if part is not None:
                        batches.append(part)
                    whole = part is batch
                    reached = (block.end, block.next_seq, None) if whole else (block.offset, block.first, block)
                    if room.full:
                        break
                if reached is not None:
                    self._place = _Place(span.base, os.fstat(descriptor).st_ino, *reached)
            if room.full:
                break
        return batches

    def holes(self, first: int, last: int) -> tuple[Hole, ...]:
        """Of numbers `first` to `last`, those that no read will ever give, and why; ascending.

        What isn't written yet is no hole. Scans the segments, so it is meant for gaps that a read left. Raises OSError.
        """
        identity = self.identity
        if identity is None:
            return ()
        found: list[Hole] = []
        at = first
        spans = self._spans(identity.epoch)
        if self._sealed and not spans:
            # All of a log that was set aside is past its age, or was removed while it is being read.
            return tuple(self._before(first, last, identity, missing=False))
        for span in spans:
            if span.until <= at:
                continue
            if at < span.base:
                found += self._before(at, min(span.base - 1, last), identity, missing=bool(found) or at > first)
            if span.base > last:
                break
            found += overlap(self._holes_of(identity.epoch, span), max(at, span.base), last)
            at = span.until
        return tuple(found)

    def _before(self, first: int, last: int, identity: LogIdentity, *, missing: bool) -> Iterator[Hole]:
        """Numbers that no segment speaks for: a whole file is missing, or the oldest ones were taken away."""
        if missing:
            yield Hole(first, last, HoleReason.DAMAGED)
            return
        if first <= identity.expired_seq:
            yield Hole(first, min(last, identity.expired_seq), HoleReason.EXPIRED)
        if last > identity.expired_seq:
            yield Hole(max(first, identity.expired_seq + 1), last, HoleReason.REMOVED)

    def _holes_of(self, epoch: str, span: _Span) -> tuple[Hole, ...]:
        with open_segment(self._directory, span.base) as descriptor:
            if descriptor is None:
                return (Hole(span.base, span.until - 1, HoleReason.REMOVED),) if span.until != ENDLESS else ()
            header = own_header(descriptor, epoch, span.base)
            parts = scan(descriptor, salt_of(epoch, span.base), end=span.end)
            return tuple(holes_in(span.base, span.until, None if header is None else header.first, parts))

    def _spans(self, epoch: str) -> list[_Span]:
        """What every segment speaks for; the newest one up to its durable mark, none of it if there is no mark."""
        for _ in range(_LISTINGS):
            firsts = segment_firsts(self._directory)
            if not firsts:
                return []
            mark = None if self._sealed else read_mark(self._directory, epoch)
            if mark is None or mark.base <= firsts[-1]:
                break
        closed = [_Span(base, until, None) for base, until in spans(firsts)[:-1]]
        end = None if self._sealed else mark.end if mark is not None and mark.base == firsts[-1] else BLOCKS_AT
        return [*closed, _Span(firsts[-1], ENDLESS, end)]

    def _segment(self, descriptor: int, epoch: str, span: _Span, seq: int) -> Iterator[tuple[Block, ColumnBatch]]:
        """A segment's blocks with records from `seq` on, and these records."""
        status = os.fstat(descriptor)
        end = status.st_size if span.end is None else min(span.end, status.st_size)
        place = self._place
        salt = salt_of(epoch, span.base)
        fits = place is not None and (place.base, place.inode) == (span.base, status.st_ino)
        if place is None or not fits or place.offset > end or place.seq > seq:
            parts = scan(descriptor, salt, BLOCKS_AT, end)
        elif place.block is None or place.block.end > end:
            parts = scan(descriptor, salt, place.offset, end)
        else:
            parts = chain((place.block,), scan(descriptor, salt, place.block.end, end))
        for part in parts:
            if isinstance(part, Damage):
                self._report(span.base, part)
                continue
            if part.first >= span.until:
                break
            if part.kind == DATA and part.next_seq > seq:
                yield part, _within(part, seq, span.until)

    def _report(self, base: int, damage: Damage) -> None:
        if (base, damage.offset) not in self._reported and len(self._reported) < 1 << 10:
            self._reported.add((base, damage.offset))
            _log.warning("log segment damaged", stream=self._directory.name, segment=base, offset=damage.offset)


def _within(block: Block, seq: int, until: int) -> ColumnBatch:
    """A block's records from `seq` to before `until`."""
    batch = columns_of(block)
    start, stop = max(0, seq - block.first), min(block.count, until - block.first)
    return batch if start == 0 and stop == block.count else batch.part(start, stop)


class _Room:
    """What a read may still take."""

    def __init__(self, records: int, size: int) -> None:
        self._records = records
        self._size = size
        self._any = False

    @property
    def full(self) -> bool:
        return self._records <= 0 or self._size <= 0

    def take(self, batch: ColumnBatch) -> ColumnBatch | None:
        """As much of a batch as fits, if any does; at least one record if nothing was taken before."""
        count = min(len(batch), max(self._records, 0))
        start = int(batch.offsets[0])
        size = int(batch.offsets[count]) - start + RECORD_BYTES * count
        if size > self._size:
            ends = batch.offsets[1 : count + 1].astype(np.int64) - start
            sizes = ends + RECORD_BYTES * np.arange(1, count + 1)
            count = int(np.searchsorted(sizes, self._size, side="right"))
            if not self._any:
                count = max(count, 1)
            self._size = 0
        else:
            self._size -= size
        self._records -= count
        if not count:
            return None
        self._any = True
        return batch if count == len(batch) else batch.part(0, count)
