"""One log on the node's disk as the uploader sees it: which it is, how far it goes, and what a range of it holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from skerry_core.errors import RetryError
from skerry_edge.events.holes import Hole
from skerry_edge.events.identity import ASIDE, POWER_CUT_SKIP, LogIdentity
from skerry_edge.events.mark import read_mark
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ, ColumnBatch
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.sync.positions import Range
from skerry_edge.sync.schedule.plan import Part

_WHOLE = 1 << 20


@dataclass(frozen=True)
class Stretch:
    """What is known of the numbers in (after, last]: each is in one of the batches, or in a hole."""

    after: int
    last: int
    batches: tuple[ColumnBatch, ...]
    holes: tuple[Hole, ...]


class LogSource:
    """A stream's live log, or one that was set aside (`<stream>@<epoch>`) and only has to be sent yet.

    Each part is read from its own place, so reading one doesn't cost the others theirs. Used by one thread at a time.
    """

    def __init__(self, folder: Path) -> None:
        """Nothing needs to be there yet."""
        self.folder = folder
        self.stream, _, aside = folder.name.partition(ASIDE)
        self.sealed = bool(aside)
        self._readers = {part: LogReader(folder) for part in Part}
        self._sealed_head: int | None = None

    @property
    def identity(self) -> LogIdentity | None:
        """Which log this is now; None while there is none. Raises RetryError."""
        with reading(self.stream):
            return self._readers[Part.LIVE].identity

    def head(self, identity: LogIdentity) -> int | None:
        """The highest number that can be read; None while that can't be told. Raises RetryError."""
        if not self.sealed:
            mark = read_mark(self.folder, identity.epoch)
            return None if mark is None else mark.next_seq - 1
        if self._sealed_head is None:
            # What is past its age went without having been sent, perhaps; the hub is to know.
            self._sealed_head = max(self._last_number(), identity.expired_seq)
        return self._sealed_head

    def read(self, part: Part, wanted: Range, identity: LogIdentity, records: int, size: int) -> Stretch:
        """The oldest of a range, at most so many records and bytes, but at least one record if it has any.

        Raises RetryError: LogUnreadable, and LogMoved if the folder was set aside meanwhile.
        """
        reader = self._readers[part]
        with reading(self.stream):
            found = [_upto(batch, wanted.last) for batch in reader.read(wanted.after + 1, records, size)]
            batches = tuple(batch for batch in found if len(batch))
            count = sum(map(len, batches))
            full = bool(batches) and (count >= records or found[-1].last <= wanted.last)
            last = batches[-1].last if full else wanted.last
            holes = tuple(self._holes(reader, wanted.after, last, batches))
            again = reader.identity
        if again is None or again.epoch != identity.epoch:
            raise RetryError("LogMoved", f"the log of stream {self.stream} was set aside while it was read")
        return _known(wanted.after, last, batches, holes)

    def segments(self, head: int) -> list[tuple[int, int]]:
        """Each segment's first number and the one behind its last, oldest first. Raises RetryError."""
        with reading(self.stream):
            firsts = segment_firsts(self.folder) if self.folder.is_dir() else []
        return list(pairwise([*firsts, max(head + 1, firsts[-1])])) if firsts else []

    def size(self, first: int) -> int:
        """Bytes of a segment; 0 if it is gone."""
        try:
            return segment_path(self.folder, first).stat().st_size
        except FileNotFoundError:
            return 0

    def _holes(self, reader: LogReader, after: int, last: int, batches: tuple[ColumnBatch, ...]) -> Iterator[Hole]:
        at = after + 1
        for batch in batches:
            if batch.first > at:
                yield from reader.holes(at, batch.first - 1)
            at = batch.last + 1
        if at <= last:
            yield from reader.holes(at, last)

    def _last_number(self) -> int:
        with reading(self.stream):
            firsts = segment_firsts(self.folder)
            last = firsts[-1] - 1 if firsts else FIRST_SEQ - 1
            reader = LogReader(self.folder)
            while batches := reader.read(last + 1, _WHOLE):
                last = batches[-1].last
        return last


def records_in(gap: Range, segments: list[tuple[int, int]]) -> int:
    """About how many records a gap has: the numbers that a power cut skips, at the begin of a segment, don't count."""
    return sum(map(len, _given_out(gap, segments)))


def newest_of(gap: Range, records: int, segments: list[tuple[int, int]]) -> Range:
    """A gap's newest numbers, of about so many records; what a power cut skipped goes with the records before it."""
    for given in reversed(_given_out(gap, segments)):
        if records <= len(given):
            return Range(given.last - records, gap.last)
        records -= len(given)
    return gap


def _given_out(gap: Range, segments: list[tuple[int, int]]) -> list[Range]:
    """What of a gap's numbers may name records, by segment."""
    found = []
    for first, until in segments:
        skipped = (until - first) // POWER_CUT_SKIP * POWER_CUT_SKIP
        found.append(Range(max(gap.after, first + skipped - 1), min(gap.last, until - 1)))
    return [each for each in found if len(each)]


def _upto(batch: ColumnBatch, last: int) -> ColumnBatch:
    return batch if batch.last <= last else batch.part(0, max(last + 1 - batch.first, 0))


def _known(after: int, last: int, batches: tuple[ColumnBatch, ...], holes: tuple[Hole, ...]) -> Stretch:
    """Cut before the first number of which nothing is known: it isn't durable yet, or was removed while it was read."""
    at = after
    pieces = sorted([(batch.first, batch.last) for batch in batches] + [(hole.first, hole.last) for hole in holes])
    for first, end in pieces:
        if first > at + 1:
            break
        at = max(at, end)
    at = min(at, last)
    return Stretch(
        after,
        at,
        tuple(part for part in (_upto(batch, at) for batch in batches if batch.first <= at) if len(part)),
        tuple(Hole(hole.first, min(hole.last, at), hole.reason) for hole in holes if hole.first <= at),
    )


@contextmanager
def reading(stream: str) -> Iterator[None]:
    """Turn the disk's errors into ours."""
    try:
        yield
    except OSError as error:
        raise RetryError("LogUnreadable", f"the log of stream {stream} can't be read: {error}") from error
