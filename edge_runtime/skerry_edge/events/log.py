"""The durable prediction log: append before the answer, fdatasync within 50 ms, one thread syncing for all.

An append is one write(2), so it survives the death of the process at any point. The 50 ms until the group's fdatasync
are the declared window of a power cut. After a failed fsync the kernel may have dropped the pages and reports success
the next time (https://wiki.postgresql.org/wiki/Fsync_Errors), so the segment is never synced again: what was not yet
durable is written anew to another segment, which supersedes the old one from its first number on.
"""

import errno
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import structlog

from skerry_core.durable import fsync_directory
from skerry_edge.events.identity import POWER_CUT_SKIP, LogIdentity, load_identity, note_boot
from skerry_edge.events.recovery import recover
from skerry_edge.events.segment import MAGIC, encode_frame, segment_firsts, segment_path

SEGMENT_BYTES = 8 << 20
SYNC_DELAY = 0.025
# What activation, intent and quarantine need to be written on a disk that the log has filled.
RESERVED_BYTES = 64 << 20
REOPEN_DELAY = 1.0

_log = structlog.get_logger(__name__)


@dataclass
class _Segment:
    first: int
    descriptor: int
    size: int


@dataclass(frozen=True)
class LogStatus:
    """The log as of now: `dropped` records found no room, `failed_syncs` led to a new segment."""

    epoch: str
    next_seq: int
    size: int
    dropped: int
    failed_syncs: int
    torn: int
    damaged: int


def open_log(state: Path, boot_id: str, *, segment_bytes: int = SEGMENT_BYTES) -> "PredictionLog":
    """Open `state`/log as what `state`/node.json says that it is.

    After a reboot the numbers skipped are made durable before the boot is noted: if this start appends nothing, or dies
    here, the next one must not give out the numbers that the power cut may have lost. Raises OSError.
    """
    node, directory = state / "node.json", state / "log"
    emptied = not directory.is_dir() or not segment_firsts(directory)
    identity = load_identity(node, boot_id, emptied=emptied)
    log = PredictionLog(directory, identity, segment_bytes=segment_bytes)
    if identity.rebooted:
        try:
            log.start_segment()
            note_boot(node, identity.epoch, boot_id)
        except OSError as error:
            _log.warning("reboot can't be noted, the next start skips numbers again", error=str(error))
    return log


class PredictionLog:
    """Appends records; safe to call from several threads. One process writes a folder, others may read it."""

    def __init__(self, directory: Path, identity: LogIdentity, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        """Recover the folder and go on after its last record; OSError if it can't be read or made."""
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._recovery = recovery = recover(directory)
        if recovery.torn or recovery.damaged:
            _log.warning("log recovered", torn=recovery.torn, damaged=recovery.damaged)
        self.epoch = identity.epoch
        self._next = recovery.next_seq
        if identity.rebooted:
            # Numbers that were given out in the lost window must never name another prediction.
            self._next += POWER_CUT_SKIP
        self._segment: _Segment | None = None
        if recovery.first is not None and not identity.rebooted and recovery.size < segment_bytes:
            descriptor = os.open(segment_path(directory, recovery.first), os.O_WRONLY | os.O_APPEND)
            self._segment = _Segment(recovery.first, descriptor, recovery.size)
        self._unsynced: list[tuple[int, bytes]] = []
        self._dropped = 0
        self._failed_syncs = 0
        self._retry_at = 0.0
        self._lock = threading.Lock()
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._syncer = threading.Thread(target=self._sync_forever, name="log-sync", daemon=True)
        self._syncer.start()

    def start_segment(self) -> None:
        """Durably open the segment of the next number, whether or not it is ever given out. Raises OSError."""
        with self._lock:
            self._abandon()
            self._open_segment()

    def append(self, encode: Callable[[int], bytes]) -> int | None:
        """Write the record that `encode` makes for the next sequence number, and return the number.

        None if the disk can't take it: the number is then not used up and `dropped` counts one more.
        """
        with self._lock:
            seq = self._next
            frame = encode_frame(seq, encode(seq))
            try:
                self._write(self._writable(len(frame)), frame)
            except OSError as error:
                if not self._dropped:
                    _log.warning("log can't take records", error=str(error))
                self._dropped += 1
                return None
            self._unsynced.append((seq, frame))
            self._next = seq + 1
        self._dirty.set()
        return seq

    def status(self) -> LogStatus:
        """Counters, and the bytes of all segments."""
        size = 0
        for first in segment_firsts(self._directory):
            try:
                size += segment_path(self._directory, first).stat().st_size
            except FileNotFoundError:
                continue
        return LogStatus(
            epoch=self.epoch,
            next_seq=self._next,
            size=size,
            dropped=self._dropped,
            failed_syncs=self._failed_syncs,
            torn=self._recovery.torn,
            damaged=self._recovery.damaged,
        )

    def sync(self) -> None:
        """Make everything appended so far durable; a disk that refuses leaves it to the next attempt."""
        with self._lock:
            segment, count = self._segment, len(self._unsynced)
        if segment is None or not count:
            return
        try:
            os.fdatasync(segment.descriptor)
        except OSError as error:
            self._supersede(segment, error)
            return
        with self._lock:
            if segment is self._segment:
                del self._unsynced[:count]

    def close(self) -> None:
        """Sync what is there and stop; appending afterwards is an error of the caller."""
        self._closing.set()
        self._dirty.set()
        self._syncer.join()
        self.sync()
        with self._lock:
            self._abandon()

    def _sync_forever(self) -> None:
        while not self._closing.is_set():
            self._dirty.wait()
            self._closing.wait(SYNC_DELAY)
            self._dirty.clear()
            self.sync()

    def _writable(self, size: int) -> _Segment:
        """The segment that takes the next frame; rotates when the current one is full. Called with the lock held."""
        segment = self._segment
        if segment is not None and segment.size + size <= self._segment_bytes:
            return segment
        if segment is not None:
            try:
                os.fdatasync(segment.descriptor)
                self._unsynced.clear()
            except OSError:
                self._failed_syncs += 1
            self._abandon()
        return self._open_segment()

    def _open_segment(self) -> _Segment:
        """Start a segment with whatever is not durable yet; it replaces a file of the same name at once and whole."""
        if time.monotonic() < self._retry_at:
            raise OSError(errno.EAGAIN, "the log waits before it tries the disk again")
        self._retry_at = time.monotonic() + REOPEN_DELAY
        usage = os.statvfs(self._directory)
        if usage.f_bavail * usage.f_frsize < RESERVED_BYTES:
            raise OSError(errno.ENOSPC, "less disk is free than the log must leave")
        first = self._unsynced[0][0] if self._unsynced else self._next
        path = segment_path(self._directory, first)
        temporary = path.with_suffix(".tmp")
        data = MAGIC + b"".join(frame for _, frame in self._unsynced)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC, 0o640)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fdatasync(descriptor)
            temporary.replace(path)
            fsync_directory(self._directory)
        except OSError:
            os.close(descriptor)
            raise
        self._unsynced.clear()
        self._retry_at = 0.0
        self._segment = _Segment(first, descriptor, len(data))
        return self._segment

    def _write(self, segment: _Segment, frame: bytes) -> None:
        try:
            written = os.write(segment.descriptor, frame)
        except OSError:
            self._cut(segment)
            raise
        if written < len(frame):
            self._cut(segment)
            raise OSError(errno.ENOSPC, "the disk took a part of the record only")
        segment.size += written

    def _cut(self, segment: _Segment) -> None:
        """Take back a part of a frame; a segment that can't be cut is left, and recovery will find its end."""
        try:
            os.ftruncate(segment.descriptor, segment.size)
        except OSError:
            self._abandon()

    def _supersede(self, segment: _Segment, error: OSError) -> None:
        with self._lock:
            self._failed_syncs += 1
            _log.error("log sync failed, going on in a new segment", error=str(error), unsynced=len(self._unsynced))
            if segment is not self._segment:
                return
            self._abandon()
            try:
                self._open_segment()
            except OSError as reopening:
                _log.warning("log can't open a segment", error=str(reopening))

    def _abandon(self) -> None:
        if self._segment is not None:
            os.close(self._segment.descriptor)
            self._segment = None
