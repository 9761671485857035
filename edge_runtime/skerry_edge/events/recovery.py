"""What a log's folder holds after a crash, and where the log goes on."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from skerry_edge.events.block import DATA, Block, columns_of, last_hlc
from skerry_edge.events.holes import HoleReason, holes_in
from skerry_edge.events.identity import POWER_CUT_SKIP
from skerry_edge.events.mark import Mark
from skerry_edge.events.record import FIRST_SEQ, NewRecord
from skerry_edge.events.rows import RECORD_BYTES
from skerry_edge.events.segment import (
    BLOCKS_AT,
    ENDLESS,
    Damage,
    Header,
    open_segment,
    own_header,
    salt_of,
    scan,
    segment_firsts,
    segment_path,
)


@dataclass(frozen=True, slots=True)
class Loose:
    """A record that is written, and not known to be durable."""

    seq: int
    hlc: int
    record: NewRecord


@dataclass(frozen=True)
class DamageReport:
    """Bytes that can't be read any more, and the numbers (first, last) that they cost."""

    size: int = 0
    ranges: tuple[tuple[int, int], ...] = ()


NO_DAMAGE = DamageReport()


@dataclass(frozen=True)
class Resume:
    """The segment that can be gone on with, from byte `end`."""

    base: int
    end: int
    header: Header


@dataclass(frozen=True)
class Recovery:
    """Where the log goes on: with number `next_seq`, in `resume` or, if that is None, in a new segment named `base`.

    `loose` records belong at that new segment's beginning. `hlc` is the latest hybrid time found.
    """

    next_seq: int = FIRST_SEQ
    base: int = FIRST_SEQ
    resume: Resume | None = None
    loose: tuple[Loose, ...] = ()
    hlc: int = 0
    torn: int = 0
    damage: DamageReport = NO_DAMAGE


def recover(directory: Path, epoch: str, mark: Mark | None, *, rebooted: bool) -> Recovery:
    """Find the newest segment's end; older segments are closed and stay as they are (see `inspect`). Raises OSError.

    - What the mark calls durable and is not whole is damage: the segment is fenced (never written again), and the log
      goes on in a new one behind the number that the mark gives.
    - Whole blocks above the mark were written by a process that died before its fsync. They are in the page cache, but
      that is no proof: if the fsync had failed, the next one on that file would succeed for nothing. So they are not
      synced again but written anew. After a reboot there is no such doubt: what is read comes from the disk.
    - Other bytes above the mark are torn: nobody was told of them but by `append_soon`, within its window. A tail of
      them is cut; whole blocks behind them (a disk writes in its own order) are written anew without them. Since a mark
      may be old after a reboot, and a worn disk may spoil what was acknowledged, the numbers that a torn tail may have
      held are skipped. Without any mark after a reboot nothing tells torn from damaged, and it counts as damage.
    - After a reboot POWER_CUT_SKIP numbers are skipped: those given out by `append_soon` in its last 50 ms are gone.
    """
    for leftover in directory.glob("*.tmp"):
        leftover.unlink()
    firsts = segment_firsts(directory)
    if not firsts:
        return Recovery()
    base = firsts[-1]
    descriptor = os.open(segment_path(directory, base), os.O_RDWR)
    try:
        header = own_header(descriptor, epoch, base)
        tail = _Tail(base, header, _durable_end(mark, base, rebooted=rebooted))
        tail.read(scan(descriptor, salt_of(epoch, base)))
        if mark is not None and mark.base == base:
            tail.compare(mark)
        if rebooted and not tail.torn_within:
            tail.all_durable()
        if tail.torn and not tail.damaged:
            os.ftruncate(descriptor, tail.end)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    next_seq = tail.next_seq + -(-tail.torn // RECORD_BYTES)
    if rebooted or (header is None and tail.next_seq == base):
        next_seq += POWER_CUT_SKIP
    keeps = header is not None and not (tail.damaged or tail.loose or tail.torn_within or rebooted)
    # A fenced segment keeps its name, even if nothing in it can be read.
    fenced_whole = bool(tail.damaged) and tail.durable_next == base and not tail.loose
    if fenced_whole:
        tail.lost = [(base, next_seq - 1)]
    return Recovery(
        next_seq=next_seq,
        base=next_seq if fenced_whole else tail.durable_next,
        resume=Resume(base, tail.end, header) if keeps and header is not None else None,
        loose=tuple(tail.loose),
        hlc=tail.hlc or _hlc_of_closed(directory, epoch, firsts[:-1]),
        torn=tail.torn + tail.torn_within,
        damage=DamageReport(tail.damaged, tuple(tail.lost)),
    )


def inspect(directory: Path, epoch: str, base: int, until: int) -> DamageReport:
    """Check every block of a closed segment; nothing to report if the segment is gone meanwhile. Raises OSError."""
    with open_segment(directory, base) as descriptor:
        if descriptor is None:
            return NO_DAMAGE
        header = own_header(descriptor, epoch, base)
        size = 0 if header is not None else BLOCKS_AT

        def counted(parts: Iterable[Block | Damage]) -> Iterator[Block | Damage]:
            nonlocal size
            for part in parts:
                if isinstance(part, Damage):
                    size += part.end - part.offset
                yield part

        first = header.first if header is not None else None
        holes = holes_in(base, until, first, counted(scan(descriptor, salt_of(epoch, base))))
        lost = tuple((hole.first, hole.last) for hole in holes if hole.reason is HoleReason.DAMAGED)
    return DamageReport(size, lost)


def _durable_end(mark: Mark | None, base: int, *, rebooted: bool) -> int:
    """Up to where the segment `base` is known to be durable; a mark of an older segment is older than all of it."""
    if mark is not None and mark.base == base:
        return mark.end
    return ENDLESS if mark is None and rebooted else BLOCKS_AT


@dataclass
class _Tail:
    """The newest segment as it is read: whole blocks end at `end`, records below `durable_next` are done with.

    `torn` bytes are behind the last whole block, `torn_within` lie between blocks above what is durable.
    """

    base: int
    header: Header | None
    durable_end: int
    end: int = BLOCKS_AT
    next_seq: int = 0
    durable_next: int = 0
    hlc: int = 0
    torn: int = 0
    torn_within: int = 0
    damaged: int = 0
    loose: list[Loose] = field(default_factory=list)
    lost: list[tuple[int, int]] = field(default_factory=list)

    def read(self, parts: Iterable[Block | Damage]) -> None:
        """Go through all parts; damage behind the last block is a torn tail as far as the file can tell."""
        header, durable = self.header, True
        if header is None:
            self.damaged = BLOCKS_AT
        else:
            self.hlc = header.hlc
        self.next_seq = self.durable_next = self.base if header is None else header.first
        hurt = header is None
        latest: Block | None = None
        for part in parts:
            durable = part.offset < self.durable_end
            if isinstance(part, Damage):
                self.torn, hurt = part.end - part.offset, durable
                continue
            self._between(part, hurt=hurt)
            hurt = False
            self.end, self.next_seq = part.end, part.next_seq
            latest = part if part.kind == DATA else latest
            if part.end <= self.durable_end:
                self.durable_next = part.next_seq
            elif part.kind == DATA:
                self.loose.extend(_records(part))
        self.hlc = max(self.hlc, last_hlc(latest))
        if header is None:
            # Nothing tells a tail that was being written from one that was whole.
            self.damaged, self.torn = self.damaged + self.torn, 0

    def compare(self, mark: Mark) -> None:
        """See whether all is there that the mark calls durable; what is missing may even read as zeros."""
        if self.end >= mark.end:
            return
        self.damaged += max(self.torn, mark.end - self.end)
        self.torn = 0
        if mark.next_seq > self.next_seq:
            self.lost.append((self.next_seq, mark.next_seq - 1))
            self.next_seq = self.durable_next = mark.next_seq

    def all_durable(self) -> None:
        """Believe what was read."""
        self.loose, self.durable_next = [], self.next_seq

    def _between(self, block: Block, *, hurt: bool) -> None:
        """Account for what lies before a block: damage if what was durable was `hurt`, a torn write otherwise."""
        if hurt:
            self.damaged += self.torn
            if block.first > self.next_seq:
                self.lost.append((self.next_seq, block.first - 1))
        else:
            self.torn_within += self.torn
        self.torn = 0


def _records(block: Block) -> Iterator[Loose]:
    for record in columns_of(block).records():
        yield Loose(record.seq, record.hlc, NewRecord(record.body, record.time, record.received, record.flags))


def _hlc_of_closed(directory: Path, epoch: str, firsts: list[int]) -> int:
    """Latest hybrid time in closed segments, for when the newest has lost its header and has no block."""
    for base in reversed(firsts):
        with open_segment(directory, base) as descriptor:
            if descriptor is None:
                continue
            header = own_header(descriptor, epoch, base)
            latest = None
            for part in scan(descriptor, salt_of(epoch, base)):
                latest = part if isinstance(part, Block) and part.kind == DATA else latest
            hlc = last_hlc(latest)
        if hlc := max(hlc, header.hlc if header is not None else 0):
            return hlc
    return 0
