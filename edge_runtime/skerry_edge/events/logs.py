"""All streams' logs below one folder; they share the hybrid clock of their process."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import structlog

from skerry_core.durable import fsync_directory
from skerry_edge.events import retention
from skerry_edge.events.clock import HybridClock
from skerry_edge.events.expiry import Moment, uptime_ms
from skerry_edge.events.identity import ASIDE, Owner, claim, read_fence, read_identity, write_identity
from skerry_edge.events.log import StreamLog
from skerry_edge.events.recovery import inspect
from skerry_edge.events.segment import boot_hash, prefetch
from skerry_edge.events.settings import LogFailedError, LogStatus, StreamSettings
from skerry_edge.events.tail import SEGMENT_BYTES

_STREAM = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_log = structlog.get_logger(__name__)


class EventLogs:
    """Opens a log for each stream, and does what is done to all of them. Threads share it."""

    def __init__(
        self,
        root: Path,
        owner: Owner,
        *,
        fence: Path | None = None,
        segment_bytes: int = SEGMENT_BYTES,
        wall: Callable[[], int] = time.time_ns,
        uptime: Callable[[], int] = uptime_ms,
    ) -> None:
        """`root` has a folder for each stream; `fence` is the file that sync writes (see `identity.read_fence`).

        `wall` gives ns since 1970 and may jump; `uptime` ms since the boot.
        """
        self.clock = HybridClock(lambda: wall() // 1_000_000)
        self._root = root
        self._owner = owner
        self._boot = boot_hash(owner.boot_id)
        self._fence = fence
        self._segment_bytes = segment_bytes
        self._wall = wall
        self._uptime = uptime
        self._logs: dict[str, StreamLog] = {}
        self._lock = threading.Lock()
        # Held by whatever removes or rewrites closed segments.
        self._keeping = threading.Lock()

    def open(self, settings: StreamSettings) -> StreamLog:
        """The stream's log, recovered if this is the first time; its settings are replaced otherwise.

        Raises OSError, and ValueError for a name that is none.
        """
        if not _STREAM.fullmatch(settings.name):
            raise ValueError(f"{settings.name!r} is no name of a stream")
        with self._lock:
            log = self._logs.get(settings.name)
            if log is not None:
                log.settings = settings
                return log
            fenced = {} if self._fence is None else read_fence(self._fence)
            directory = self.directory(settings.name)
            identity = claim(directory, self._owner, frozenset(fenced.get(settings.name, "").split()))
            log = StreamLog(
                directory,
                settings,
                identity,
                self._owner,
                self.clock,
                self._moment,
                segment_bytes=self._segment_bytes,
            )
            self._logs = {**self._logs, settings.name: log}
            return log

    def directory(self, stream: str) -> Path:
        """Where a stream's log is."""
        return self._root / stream

    def status(self) -> dict[str, LogStatus]:
        """Every open log's status, by stream. Raises OSError."""
        return {name: log.status() for name, log in self._logs.items()}

    def settings(self) -> dict[str, StreamSettings]:
        """Every open log's tier and limits, by stream."""
        return {name: log.settings for name, log in self._logs.items()}

    def check(self, stream: str, since: int = 0) -> Iterator[tuple[int, int]]:
        """Check the checksums of an open log's closed segments from number `since` on, one a step.

        Gives the number before which all is checked, and how many bytes that took. Damage is counted in the log's
        status. Reads every byte: meant to be done once, in the background. Raises OSError.
        """
        log = self._logs[stream]
        for segment in retention.closed_segments(log.directory):
            if segment.base < since:
                continue
            size = retention.size_of(log.directory, segment)
            # The disk reads the next one while this one's checksums are computed.
            prefetch(log.directory, segment.until)
            found = inspect(log.directory, log.epoch, segment.base, segment.until)
            if found.size or found.ranges:
                _log.warning(
                    "log segment damaged", stream=log.name, segment=segment.base, size=found.size, lost=found.ranges
                )
                with self._keeping:
                    log.found_damage(segment.base, found)
            yield segment.until, size

    def verify(self) -> None:
        """Check all open logs' closed segments at once. Raises OSError."""
        for stream in self._logs:
            for _ in self.check(stream):
                pass

    def expire(self) -> None:
        """Remove closed segments whose records are all past their stream's age, sent or not.

        A log whose disk refuses holds up none of the others.
        """
        for log in self._logs.values():
            try:
                log.roll_if_spent()
                with self._keeping:
                    self._expire(log)
                    for directory in self._set_aside(log.name):
                        self._expire_set_aside(directory, log.settings)
            except (OSError, LogFailedError) as error:
                _log.warning("what is past its age can't be removed", stream=log.name, error=str(error))

    def redact(self, stream: str, matches: Callable[[bytes], bool]) -> int:
        """Durably take out the bodies of a stream's records that match; how many there were.

        A redacted record keeps its number and times, its body reads `{}`, and it has the flag REDACTED. The segment
        being written is closed first. Raises KeyError for a stream that isn't open, LogFailedError and OSError; a
        redaction that failed half-way is finished by doing it again.
        """
        log = self._logs[stream]
        log.roll()
        with self._keeping:
            count = self._redact(log.directory, log.epoch, matches, sealed=False)
            for directory in self._set_aside(stream):
                identity = read_identity(directory)
                if identity is not None:
                    count += self._redact(directory, identity.epoch, matches, sealed=True)
        return count

    def close(self) -> None:
        """Sync and close all logs."""
        for log in self._logs.values():
            log.close()

    def _moment(self) -> Moment:
        return Moment(self._wall() // 1000, self._uptime(), self._boot)

    def _set_aside(self, stream: str) -> Iterator[Path]:
        return (path for path in sorted(self._root.glob(f"{stream}{ASIDE}*")) if path.is_dir())

    def _redact(self, directory: Path, epoch: str, matches: Callable[[bytes], bool], *, sealed: bool) -> int:
        segments = retention.closed_segments(directory, sealed=sealed)
        return sum(retention.redact_segment(directory, epoch, segment, matches) for segment in segments)

    def _expire(self, log: StreamLog) -> None:
        closed = retention.closed_segments(log.directory)
        gone = retention.expired(log.directory, closed, self._moment(), log.settings.max_age)
        if not gone:
            return
        records = sum(retention.count_records(log.directory, log.epoch, segment) for segment in gone)
        # First noted, then done: whoever misses the numbers must be able to learn why.
        log.note_expired(records, gone[-1].until - 1)
        retention.remove(log.directory, gone)
        _log.info("log segments expired", stream=log.name, segments=len(gone), records=records)

    def _expire_set_aside(self, directory: Path, settings: StreamSettings) -> None:
        """Remove what is past its age; once that is all, a note of it stays until sync has told the hub (`retire`)."""
        closed = retention.closed_segments(directory, sealed=True)
        gone = retention.expired(directory, closed, self._moment(), settings.max_age)
        identity = read_identity(directory)
        told = (
            identity is not None
            and identity.site == self._owner.site
            and directory.name == f"{settings.name}{ASIDE}{identity.epoch}"
        )
        if gone and told and identity is not None:
            records = sum(retention.count_records(directory, identity.epoch, segment) for segment in gone)
            # First noted, then done.
            write_identity(
                directory, identity.past(records, retention.last_number(directory, identity.epoch, gone[-1]))
            )
        retention.remove(directory, gone)
        if gone and len(gone) == len(closed):
            _log.info("log that was set aside expired", folder=directory.name)
        if told or len(gone) < len(closed):
            return
        # Nobody sends it: a copy of another one, of another site, or no log at all.
        for path in directory.iterdir():
            path.unlink()
        directory.rmdir()
        fsync_directory(self._root)
