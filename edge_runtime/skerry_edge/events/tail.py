"""The end of a log where records are written: the open segment, the next number, and what is not durable yet.

Not safe for threads by itself: all of it is called under its log's lock, and whatever closes a segment only while
nobody syncs it. What happens when a sync fails is told in `skerry_edge.events.log`.
"""

import errno
import os
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

import structlog

from skerry_edge.events.active import ActiveSegment
from skerry_edge.events.block import SKIPPED, encode_block, encode_note
from skerry_edge.events.clock import HybridClock
from skerry_edge.events.expiry import Moment
from skerry_edge.events.mark import MarkFile
from skerry_edge.events.record import MAX_BODY, NewRecord
from skerry_edge.events.recovery import Loose, Recovery
from skerry_edge.events.rows import MAX_DATA, Rows
from skerry_edge.events.segment import BLOCKS_AT, Header, salt_of, segment_path

SEGMENT_BYTES = 8 << 20
# A segment spans at most this part of the age that records may reach, so that little is kept beyond it.
AGE_SHARE = 8
# And at most this part of the bytes that the stream may hold: only closed segments can make room in a full one.
SIZE_SHARE = 8
REOPEN_DELAY = 1.0

_log = structlog.get_logger(__name__)


class Unsynced(NamedTuple):
    """What a sync of `segment` makes durable: its bytes up to `end`, and every record numbered below `next_seq`."""

    segment: ActiveSegment
    end: int
    next_seq: int


class Tail:
    """Writes blocks, one segment after the other."""

    def __init__(
        self,
        directory: Path,
        epoch: str,
        found: Recovery,
        clock: HybridClock,
        moment: Callable[[], Moment],
        *,
        max_age: timedelta,
        max_bytes: int,
        segment_bytes: int,
    ) -> None:
        """Go on where recovery says; if no segment can be opened now, the next write tries again."""
        self.next_seq = found.next_seq
        self.failed_syncs = 0
        self.max_age = max_age
        self.max_bytes = max_bytes
        self._directory = directory
        self._epoch = epoch
        self._clock = clock
        self._moment = moment
        self._segment_bytes = segment_bytes
        self._mark = MarkFile(directory, epoch)
        # The number behind the last one that is written, and behind the last one that is durable: there the next
        # segment begins to speak. `next_seq` may be greater, by numbers that are skipped.
        self._after = self._base = found.base
        self._loose = list(found.loose)
        self._segment: ActiveSegment | None = None
        # Somebody may be syncing them; closed when certainly nobody is.
        self._retired: list[ActiveSegment] = []
        self._retry_at = self._roll_at = 0.0
        clock.observe(found.hlc)
        try:
            self._resume(found)
        except OSError as error:
            _log.warning("log can't open a segment", stream=directory.name, error=str(error))

    def _resume(self, found: Recovery) -> None:
        resume = found.resume
        if resume is None:
            self._open_segment()
            return
        self._segment = ActiveSegment.reopen(self._directory, resume.base, self._epoch, resume.end)
        moment = self._moment()
        ran = moment.uptime - resume.header.uptime if moment.boot == resume.header.boot else 0
        self._roll_at = self._due() - ran / 1000
        self._durable(Unsynced(self._segment, resume.end, found.base))

    @property
    def open_base(self) -> int | None:
        """Name of the segment being written, if there is one."""
        return None if self._segment is None else self._segment.base

    @property
    def open_bytes(self) -> int:
        """Bytes written to it, or that the next one will begin with."""
        return BLOCKS_AT if self._segment is None else self._segment.end

    @property
    def empty(self) -> bool:
        """Whether the segment being written holds nothing yet."""
        return self._segment is not None and self._segment.empty

    @property
    def spent(self) -> bool:
        """Whether the segment being written is to be closed for its age."""
        segment = self._segment
        return segment is not None and not segment.empty and time.monotonic() >= self._roll_at

    def must_roll(self, size: int) -> bool:
        """Whether `size` more bytes belong to another segment than the one being written."""
        segment = self._segment
        if segment is None:
            return True
        most = min(self._segment_bytes, self.max_bytes // SIZE_SHARE)
        return self.spent or (not segment.empty and segment.end + size > most)

    def write(self, rows: Rows) -> int:
        """Write records side by side, and give the first one's number. Not durable yet.

        Raises OSError: nothing is written then, and no number used up.
        """
        segment = self._writable(rows.stored_size)
        hlc, first = self._clock.take(len(rows)), self.next_seq
        blocks = []
        seq = first
        for part in rows.block_sized():
            blocks.append(encode_block(segment.salt, seq, range(hlc, hlc + len(part)), part))
            seq, hlc = seq + len(part), hlc + len(part)
        self._put(segment, blocks[0] if len(blocks) == 1 else b"".join(blocks))
        self._after = self.next_seq = seq
        return first

    def write_soon(self, rows: Rows, record: NewRecord) -> None:
        """Write one record (as rows too) that is written anew should its sync fail. Raises OSError, as `write` does."""
        segment = self._writable(rows.stored_size)
        hlc, seq = self._clock.take(), self.next_seq
        self._put(segment, encode_block(segment.salt, seq, (hlc,), rows))
        self._loose.append(Loose(seq, hlc, record))
        self._after = self.next_seq = seq + 1

    def unsynced(self) -> Unsynced | None:
        """What a sync would make durable now."""
        segment = self._segment
        if segment is None or segment.end == segment.durable:
            return None
        return Unsynced(segment, segment.end, self._after)

    def synced(self, what: Unsynced) -> None:
        """Take note of a sync that succeeded."""
        self._durable(what)

    def sync_failed(self, error: OSError) -> None:
        """Go on in a new segment, without what was waiting for that sync and wasn't promised."""
        self.failed_syncs += 1
        _log.error("log sync failed, going on in a new segment", stream=self._directory.name, error=str(error))
        failed = self._segment
        self.abandon()
        try:
            self._open_segment()
        except OSError as reopening:
            _log.warning("log can't open a segment", stream=self._directory.name, error=str(reopening))
            if failed is not None and not self._loose:
                try:
                    os.truncate(segment_path(self._directory, failed.base), failed.durable)
                except OSError as cutting:
                    _log.info("failed log segment not cut", stream=self._directory.name, error=str(cutting))

    def roll(self) -> None:
        """Close the segment, durably, and begin another. Raises OSError; there may be no segment then."""
        what = self.unsynced()
        if what is not None:
            try:
                os.fdatasync(what.segment.descriptor)
            except OSError as error:
                self.sync_failed(error)
                if self._segment is None:
                    raise
                return
            self._durable(what)
        if self._segment is not None:
            try:
                self._segment.cut()
            except OSError as error:
                _log.info("closed log segment keeps its zeros", stream=self._directory.name, error=str(error))
            self.abandon()
        self._open_segment()

    def abandon(self) -> None:
        """Write nothing more to the segment."""
        if self._segment is not None:
            self._retired.append(self._segment)
            self._segment = None
        while self._retired:
            self._retired.pop().close()

    def close(self) -> None:
        """Let go of all files."""
        self.abandon()
        self._mark.close()

    def _writable(self, size: int) -> ActiveSegment:
        """The segment that takes the next block."""
        if self.must_roll(size):
            self.roll()
        assert self._segment is not None
        return self._segment

    def _open_segment(self) -> None:
        """Begin a segment with what is not durable yet; it replaces a file of the same name at once and whole."""
        if time.monotonic() < self._retry_at:
            raise OSError(errno.EAGAIN, "the log waits before it tries the disk again")
        self._retry_at = time.monotonic() + REOPEN_DELAY
        self.abandon()
        moment = self._moment()
        header = Header(
            epoch=self._epoch,
            base=self._base,
            first=self._loose[0].seq if self._loose else self.next_seq,
            hlc=self._clock.last,
            created=moment.wall,
            uptime=moment.uptime,
            boot=moment.boot,
        )
        salt, after = salt_of(self._epoch, self._base), self._base
        blocks = list(_loose_blocks(salt, self._loose))
        if self._loose:
            after = self._loose[-1].seq + 1
            if after < self.next_seq:
                blocks.append(encode_note(salt, SKIPPED, after, self.next_seq - after))
                after = self.next_seq
        self._segment = segment = ActiveSegment.create(self._directory, header, blocks)
        self._after = after
        self._retry_at = 0.0
        self._roll_at = self._due()
        self._durable(Unsynced(segment, segment.end, after))

    def _durable(self, what: Unsynced) -> None:
        what.segment.durable = what.end
        self._base = what.next_seq
        if self._loose:
            self._loose = [loose for loose in self._loose if loose.seq >= what.next_seq]
        self._mark.write(what.segment.base, what.end, what.next_seq)

    def _put(self, segment: ActiveSegment, data: bytes | bytearray) -> None:
        try:
            segment.write(data)
        except OSError:
            try:
                segment.cut()
            except OSError as error:
                # Its end may hold a part of a block: whatever is not durable is better off in another file.
                _log.warning("log segment can't be cut", stream=self._directory.name, error=str(error))
                self._retired.append(segment)
                self._segment = None
            raise

    def _due(self) -> float:
        return time.monotonic() + self.max_age.total_seconds() / AGE_SHARE


def _loose_blocks(salt: int, loose: Sequence[Loose]) -> Iterator[bytearray]:
    """Loose records as blocks of successive numbers, small enough whatever the bodies are."""
    most = MAX_DATA // MAX_BODY
    for _, group in groupby(enumerate(loose), key=lambda item: (item[1].seq - item[0], item[0] // most)):
        run = [item for _, item in group]
        yield encode_block(salt, run[0].seq, [item.hlc for item in run], Rows.of([item.record for item in run]))
