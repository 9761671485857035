"""One log on its way to the store: what of it waits, and the batch that a part of it comes to."""

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from skerry_api.v1alpha1.syncpolicy import AGGREGATES, ALERTS, ROLLUPS, TELEMETRY
from skerry_core.batch.codec import encode
from skerry_core.batch.contents import Absent, AbsentReason, LogName, Row
from skerry_core.errors import RetryError
from skerry_core.sync_policy.document import StreamPolicy, SyncPolicyDocument
from skerry_edge.events.identity import ASIDE, LogIdentity
from skerry_edge.events.record import FIRST_SEQ, ColumnBatch
from skerry_edge.sync.cutting import Cut, Fitted, fit, joined, reasons
from skerry_edge.sync.log_source import LogSource, newest_of, records_in
from skerry_edge.sync.outbound.gate import Outcome
from skerry_edge.sync.positions import MAX_RANGES, Range, Sent, parts, without
from skerry_edge.sync.schedule.plan import Part, Queue, Waiting
from skerry_edge.sync.sent_notes import SentNotes

# Streams that sync writes itself; the others are inference's.
OWN = frozenset({ALERTS, TELEMETRY, AGGREGATES, ROLLUPS})
URGENT = frozenset({ALERTS})

# A batch: rows, bytes of their bodies, and numbers looked at for them (most may be sampled away). Four times
# as much made predictions' batches 0.2 % smaller, and took 60 MB more memory while they were made.
MAX_ROWS = 2048
MAX_BYTES = 1 << 20
MAX_NUMBERS = 32_768
_READ = 1024
# Bytes of the smallest batch, and of a record in a larger one, until one has been made.
_LEAST = 400
_PER_RECORD = 100.0
_NEWEST = 0.5

_FOLDER = re.compile(rf"[a-z0-9](?:[a-z0-9-]{{0,61}}[a-z0-9])?(?:{ASIDE}[0-9a-f]{{16}})?")

# What of a stream's records leaves, and why the others don't; raises RetryError if that can't be told now.
Pass = Callable[[StreamPolicy, tuple[ColumnBatch, ...], datetime], Outcome]


@dataclass(frozen=True)
class Ready:
    """A batch to send: its log and key say which, `batches` are the records that it was made of."""

    log: LogName
    fitted: Fitted
    batches: tuple[ColumnBatch, ...]


class Outgoing:
    """State of one log's upload. `key` tells it from all others on the node. Used by one thread at a time (`lock`)."""

    def __init__(self, key: str, site: str, source: LogSource, boot_id: str) -> None:
        """`boot_id` is of this boot."""
        self.key = key
        self.lock = threading.Lock()
        self.source = source
        self.stream = source.stream
        self.sent = Sent()
        self.resend: list[Range] = []
        self.retry_at = 0.0
        self.failures = 0
        self.fenced = False
        self.again: tuple[Part, Range] | None = None
        self._site = site
        self._boot_id = boot_id
        self._known_end: int | None = None
        self._identity: LogIdentity | None = None
        self._head = FIRST_SEQ - 1
        self._segments: list[tuple[int, int]] = []
        self._since: dict[Part, float] = {}
        self._per_record = _PER_RECORD
        self._least = _LEAST

    @property
    def identity(self) -> LogIdentity | None:
        """Which log it is, as of the last look."""
        return self._identity

    @property
    def head(self) -> int:
        """The highest number that can be read, as of the last look."""
        return self._head

    @property
    def known_end(self) -> int | None:
        """The highest number that the store can have from this node; None until the log was opened in this boot.

        That is where the log ended when it was opened, or what was on its way to the store since, by the note on disk.
        The head of now is no measure: a log whose disk was restored grows past what the store had of it before. Without
        the note it is the head as it was when sync first saw it.
        """
        return self._known_end

    @property
    def log(self) -> LogName:
        """The log's name in the store, as of the last look, which found one."""
        assert self._identity is not None
        return LogName(self._site, self._identity.node, self.stream, self._identity.epoch)

    def look(self, notes: SentNotes, at: float) -> bool:
        """See which log this is and how far it goes; false if there is none, or none that may leave from here.

        Raises RetryError LogUnreadable.
        """
        identity = self.source.identity
        if identity is None or identity.site != self._site:
            return False
        if self._identity is None or self._identity.epoch != identity.epoch:
            self.sent, self._head = self._known(notes, identity), FIRST_SEQ - 1
            self.resend, self.again, self._since, self.fenced, self._known_end = [], None, {}, False, None
        self._identity = identity
        head = self.source.head(identity)
        if head is not None:
            self._head = head
            if self._known_end is None and identity.boot_id == self._boot_id:
                reach = notes.reach(identity.epoch)
                self._known_end = head if reach is None or identity.opened is None else max(reach, identity.opened)
                notes.believe(identity.epoch, self.stream, self._known_end)
        self._segments = self.source.segments(self._head)
        found = self.ranges()
        self._since = {part: self._since.get(part, at) for part in found}
        return not self.fenced

    def ranges(self) -> dict[Part, Range]:
        """What waits, by part."""
        found = parts(self.sent, self._head)
        if self.resend:
            found[Part.RESEND] = self.resend[0]
        return found

    def queue(self, policy: SyncPolicyDocument) -> Queue:
        """What waits, as the scheduler wants to know it."""
        stream = policy.stream(self.stream)
        return Queue(
            stream=self.key,
            tier=None if stream is None else stream.tier,
            waiting={part: Waiting(self._bytes(part, gap), self._since[part]) for part, gap in self.ranges().items()},
            least=self._least,
            urgent=self.stream in URGENT,
            retry_at=self.retry_at,
        )

    def waiting(self) -> tuple[int, int]:
        """About how many records and bytes wait, those asked for again not counted."""
        records = sum(records_in(gap, self._segments) for gap in self.sent.gaps(self._head))
        return records, int(records * self._per_record)

    def oldest(self) -> Range | None:
        """The oldest gap; None if nothing waits."""
        gaps = self.sent.gaps(self._head)
        return gaps[0] if gaps else None

    def make(self, part: Part, max_bytes: int, stream: StreamPolicy, passed: Pass, now: datetime) -> Ready | None:
        """The batch for a part, of at most `max_bytes` but at least one row; None if nothing of it is there.

        A batch that broke off is made again from the same range: the store may have it, and the hub takes one. Raises
        RetryError: LogUnreadable, LogMoved, and what `passed` raises.
        """
        identity = self._identity
        gap = self.ranges().get(part)
        if identity is None or gap is None:
            return None
        numbers = min(max(int(max_bytes / self._per_record), 1), MAX_NUMBERS)
        too_much = records_in(gap, self._segments) > numbers
        newest = part is Part.LIVE and too_much and len(self.sent.ranges) < MAX_RANGES
        wanted = newest_of(gap, numbers, self._segments) if newest else gap
        if self.again is not None and self.again[0] is part:
            wanted, newest = self.again[1], False
        found = self._collect(part, wanted, stream, passed, now)
        if found is None:
            return None
        contents, batches = found
        log = self.log
        fitted = fit(contents, max_bytes, lambda part: encode(part.batch(log)), newest=newest)
        self._learn(fitted)
        return Ready(log, fitted, batches)

    def sending(self, part: Part, fitted: Fitted) -> None:
        """It is about to go: if this breaks off, the store may have it."""
        self.again = (part, fitted.cut.range)
        if self._known_end is not None:
            self._known_end = max(self._known_end, fitted.cut.last)

    def too_large(self, fitted: Fitted) -> None:
        """The smallest batch there can be is this large; the scheduler is to know it."""
        self._least = len(fitted.encoded.data)

    def done(self, part: Part, fitted: Fitted) -> None:
        """The store has it."""
        self.sent = self.sent.add([fitted.cut.range])
        self.resend = without(self.resend, fitted.cut.range)
        self._least, self.again = _LEAST, None
        self._since.pop(part, None)
        self.retry_at, self.failures = 0.0, 0

    def _known(self, notes: SentNotes, identity: LogIdentity) -> Sent:
        """What the store has of a log by its note, and by what was removed here to make room: only what was sent.

        Without the note, the hub would be told that these have no record, perhaps before it looks at those that it has
        in its store. What it lacks of them it asks for.
        """
        segments = self.source.segments(FIRST_SEQ - 1)
        removed = [Range(identity.expired_seq, segments[0][0] - 1)] if segments else []
        return notes.of(identity.epoch).add(removed)

    def _collect(
        self, part: Part, wanted: Range, stream: StreamPolicy, passed: Pass, now: datetime
    ) -> tuple[Cut, tuple[ColumnBatch, ...]] | None:
        assert self._identity is not None
        rows: list[Row] = []
        absent: list[Absent] = []
        batches: list[ColumnBatch] = []
        at, size = wanted.after, 0
        for stretch in self._stretches(part, wanted):
            outcome = passed(stream, stretch[1], now)
            rows += outcome.rows
            absent += [*stretch[2], *outcome.absent]
            batches += stretch[1]
            at = stretch[0]
            size += sum(len(row.body) for row in outcome.rows)
            if len(rows) >= MAX_ROWS or size >= MAX_BYTES:
                break
        if at == wanted.after:
            return None
        return Cut(wanted.after, at, tuple(rows), joined(absent)), tuple(batches)

    def _stretches(self, part: Part, wanted: Range) -> Iterator[tuple[int, tuple[ColumnBatch, ...], list[Absent]]]:
        """The range piece by piece: up to where, with which records, and why others aren't there."""
        assert self._identity is not None
        at, seen = wanted.after, 0
        while at < wanted.last and seen < MAX_NUMBERS:
            found = self.source.read(part, Range(at, wanted.last), self._identity, _READ, MAX_BYTES // 4)
            if found.last == at:
                return
            at = found.last
            seen += sum(map(len, found.batches))
            yield at, found.batches, reasons(found.holes)

    def _bytes(self, part: Part, gap: Range) -> int:
        records = records_in(gap, self._segments)
        if records == 0 and part is Part.LIVE and not self.source.sealed:
            return 0  # nothing but skipped numbers: the next record accounts for them
        return max(int(records * self._per_record), _LEAST if part is not Part.LIVE else 1)

    def _learn(self, fitted: Fitted) -> None:
        if fitted.cut.rows:
            found = len(fitted.encoded.data) / len(fitted.cut.rows)
            self._per_record = (1 - _NEWEST) * self._per_record + _NEWEST * found


def gone(log: LogName, wanted: Range) -> Fitted:
    """The answer to a request for records of a log that isn't here any more."""
    contents = Cut(wanted.after, wanted.last, (), (Absent(wanted.after + 1, wanted.last, AbsentReason.EXPIRED),))
    return Fitted(contents, encode(contents.batch(log)))


def log_folders(inference: Path, own: Path) -> Iterator[tuple[str, Path]]:
    """Folders of logs to send, with a key for each. Raises RetryError LogUnreadable.

    A copy of a log that was set aside before (`<stream>@<epoch>-2`) isn't one: its numbers name other records already.
    """
    try:
        for root, folder in (("inference", inference), ("sync", own)):
            for path in sorted(folder.iterdir()) if folder.is_dir() else ():
                stream = path.name.partition(ASIDE)[0]
                if _FOLDER.fullmatch(path.name) and (stream in OWN) is (root == "sync") and path.is_dir():
                    yield f"{root}/{path.name}", path
    except OSError as error:
        raise RetryError("LogUnreadable", f"the logs' folders can't be read: {error}") from error
