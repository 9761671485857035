"""One stream's log: appended by threads, synced for all of them at once.

`append` returns when its records are durable. Whoever finds nobody at it becomes the leader: it writes what everybody
has waiting as one block and syncs once (group commit). `append_soon` writes before it returns, which the death of the
process can't undo, and leaves the sync to a thread that does it within 50 ms, the declared window of a power cut.

What happens when a sync fails. The kernel may have dropped the pages and reports success the next time
(https://wiki.postgresql.org/wiki/Fsync_Errors), so that file is never synced again. The log goes on in a new segment
whose name is the first number that is not known to be durable, and which speaks for every number from there on:

- Records of `append` that wait for that sync are refused with LogFailedError. Nothing of them is in the new segment,
  and what the old file may still hold of them is superseded: no reader gives it out, no recovery finds it. Their
  numbers are skipped, for ever, rather than given out again: nothing else will ever be known by them.
- Records of `append_soon` were promised already (an answer has gone out with their number), so they are written anew to
  the new segment, with the same numbers and times.

If no new segment can be made either, the log refuses until one can. Should the process die in that state, the next one
may find the refused records whole in the page cache: they then appear, once, under their own numbers, as any record
does whose caller was killed before it heard of the outcome. The old file is cut where that loses nothing, to make this
rare.

A write that fails (a full disk) is another matter: nothing of it was whole, so the next records take its numbers.
"""

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import structlog

from skerry_edge.events.clock import HybridClock
from skerry_edge.events.expiry import Moment
from skerry_edge.events.identity import LogIdentity, Owner, note_opening, rebooted, write_identity
from skerry_edge.events.mark import read_mark
from skerry_edge.events.record import NewRecord
from skerry_edge.events.recovery import NO_DAMAGE, DamageReport, recover
from skerry_edge.events.room import Room
from skerry_edge.events.rows import Rows
from skerry_edge.events.segment import segment_firsts
from skerry_edge.events.settings import LogFailedError, LogFullError, LogStatus, StreamSettings
from skerry_edge.events.tail import SEGMENT_BYTES, Tail, Unsynced

SYNC_DELAY = 0.025
# What one call may append, and what one commit takes of the waiting ones.
MAX_APPEND = 4 << 20

_FULL = (errno.ENOSPC, errno.EDQUOT)
_MAX_RANGES = 64

_log = structlog.get_logger(__name__)


@dataclass(eq=False)
class _Commit:
    """One caller's records on their way; the leader fills in the rest."""

    rows: Rows
    first: int = 0
    done: bool = False
    error: LogFullError | LogFailedError | None = None


class StreamLog:
    """Appends; safe to call from several threads. One process writes a folder; others may read it meanwhile."""

    def __init__(
        self,
        directory: Path,
        settings: StreamSettings,
        identity: LogIdentity,
        owner: Owner,
        clock: HybridClock,
        moment: Callable[[], Moment],
        *,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> None:
        """Recover the folder, which must be claimed, and go on after its last record. Raises OSError.

        Behind which number it goes on is noted before any record is taken: sync judges by it what the store can have.
        After a reboot the numbers skipped are made durable before the boot is noted: if this start appends nothing, or
        dies here, the next one must not give out the numbers that the power cut may have lost.
        """
        self.directory = directory
        self.identity = identity
        self._settings = settings
        self._lock = threading.Lock()
        self._turn = threading.Condition(self._lock)
        self._queue: list[_Commit] = []
        self._leading = False
        self._closed = False
        self._dropped = self._refused = 0
        self._dirty = threading.Event()
        self._syncer: threading.Thread | None = None
        self._room = Room(directory)
        after_reboot = rebooted(identity, owner)
        firsts = segment_firsts(directory)
        found = recover(directory, identity.epoch, read_mark(directory, identity.epoch), rebooted=after_reboot)
        if found.torn or found.damage.size:
            _log.warning("log recovered", stream=self.name, torn=found.torn, damaged=found.damage.size)
        self._torn = found.torn
        self._damage: dict[int, DamageReport] = {}
        self._tail = Tail(
            directory,
            identity.epoch,
            found,
            clock,
            moment,
            max_age=settings.max_age,
            max_bytes=settings.max_bytes,
            segment_bytes=segment_bytes,
        )
        if self._tail.open_base is not None or not after_reboot:
            try:
                self.identity = note_opening(directory, identity, owner, self._tail.next_seq - 1)
            except OSError as error:
                _log.warning("that a log was opened can't be noted", stream=self.name, error=str(error))
        if firsts:
            self.found_damage(firsts[-1], found.damage)

    @property
    def name(self) -> str:
        """The stream's name."""
        return self._settings.name

    @property
    def epoch(self) -> str:
        """The log's epoch: (site, node, epoch, seq) names a record everywhere."""
        return self.identity.epoch

    @property
    def settings(self) -> StreamSettings:
        """The stream's tier and limits; can be replaced at any time."""
        return self._settings

    @settings.setter
    def settings(self, settings: StreamSettings) -> None:
        with self._lock:
            self._settings = settings
            self._tail.max_age = settings.max_age
            self._tail.max_bytes = settings.max_bytes

    def append(self, records: Sequence[NewRecord]) -> range:
        """Append records, and return their numbers once all of them are durable. They stand side by side.

        Raises LogFullError if the disk has no room for this stream's tier, or the stream is at its limit;
        LogFailedError if the disk failed. Nothing is acknowledged then. ValueError for a body longer than MAX_BODY,
        and for more than MAX_APPEND bytes.
        """
        commit = _Commit(Rows.of(records))
        size = commit.rows.stored_size
        if size > MAX_APPEND:
            raise ValueError(f"{size} bytes at once are more than {MAX_APPEND}")
        with self._lock:
            try:
                self._admit(size)
            except (LogFullError, LogFailedError):
                self._refused += len(records)
                raise
            self._queue.append(commit)
            while self._leading and not commit.done:
                self._turn.wait()
            leads = not commit.done
            self._leading = self._leading or leads
        if leads:
            try:
                while not commit.done:
                    self._commit()
            finally:
                self._hand_over()
        if commit.error is not None:
            raise commit.error
        return range(commit.first, commit.first + len(records))

    def append_soon(self, make: Callable[[int], NewRecord]) -> int | None:
        """Write the record that `make` makes for the next number, and return the number; durable within 50 ms.

        None if the disk can't take it: the number is then not used up and `dropped` counts one more. `make` may be
        called more than once. ValueError for a body longer than MAX_BODY.
        """
        with self._lock:
            while True:
                seq = self._tail.next_seq
                record = make(seq)
                rows = Rows.of((record,))
                # The leader syncs without the lock: a segment must not be closed under it.
                if not self._leading or not self._tail.must_roll(rows.stored_size):
                    break
                self._turn.wait()
            try:
                self._admit(rows.stored_size)
                self._tail.write_soon(rows, record)
            except (OSError, LogFullError, LogFailedError) as error:
                if not self._dropped:
                    _log.warning("log can't take records", stream=self.name, error=str(error))
                self._dropped += 1
                return None
            if self._syncer is None:
                self._syncer = threading.Thread(target=self._sync_forever, name=f"sync-{self.name}", daemon=True)
                self._syncer.start()
        self._dirty.set()
        return seq

    def sync(self) -> None:
        """Make everything appended so far durable; a disk that refuses leaves it to the next attempt."""
        with self._alone():
            self._commit()

    def roll(self) -> None:
        """Close the segment being written, if it holds anything. Raises LogFailedError if no other can be begun."""
        with self._alone(), self._lock:
            if not self._tail.empty:
                try:
                    self._tail.roll()
                except OSError as error:
                    raise LogFailedError(f"stream {self.name} can't begin a segment: {error}") from error

    def roll_if_spent(self) -> None:
        """Close the segment being written if it is past its share of the age that records may reach."""
        if self._tail.spent:
            self.roll()

    def note_expired(self, records: int, seq: int) -> None:
        """Durably note that records up to number `seq` are about to be removed for their age. Raises OSError."""
        noted = self.identity.past(records, seq)
        write_identity(self.directory, noted)
        self.identity = noted

    def found_damage(self, base: int, damage: DamageReport) -> None:
        """Count what was found in a segment, once: a segment that was fenced at the start is closed and checked later.

        It is noted, too: a process that comes after this one finds it again.
        """
        if damage == NO_DAMAGE:
            return
        with self._lock:
            # Of what is missing at its end only the first look at a segment can tell.
            if damage.size >= self._damage.get(base, NO_DAMAGE).size:
                self._damage[base] = damage
            known, self.identity = self.identity, self.identity.hurt(base, damage.size, segment_firsts(self.directory))
            if self.identity == known:
                return
            try:
                write_identity(self.directory, self.identity)
            except OSError as error:
                _log.warning("damage to a log can't be noted", stream=self.name, error=str(error))

    def status(self) -> LogStatus:
        """Counters, and the bytes of all segments. Raises OSError if the folder can't be read."""
        with self._lock:
            tail, identity = self._tail, self.identity
            damaged_ranges = [lost for base in sorted(self._damage) for lost in self._damage[base].ranges]
            firsts = segment_firsts(self.directory)
            return LogStatus(
                name=self.name,
                epoch=self.epoch,
                first_seq=firsts[0] if firsts else tail.next_seq,
                next_seq=tail.next_seq,
                size=self._room.size(tail.open_base, tail.open_bytes),
                dropped=self._dropped,
                refused=self._refused,
                failed_syncs=tail.failed_syncs,
                torn=self._torn,
                damaged=identity.damaged_bytes,
                damaged_ranges=tuple(damaged_ranges[:_MAX_RANGES]),
                expired=identity.expired,
                expired_seq=identity.expired_seq,
            )

    def close(self) -> None:
        """Sync what is there and stop; appending afterwards is refused."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        self._dirty.set()
        if self._syncer is not None:
            self._syncer.join()
        self.sync()
        with self._alone(), self._lock:
            self._tail.close()

    # Taking turns: `_leading` belongs to the one thread that may sync, or close the segment.

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with self._lock:
            while self._leading:
                self._turn.wait()
            self._leading = True
        try:
            yield
        finally:
            self._hand_over()

    def _hand_over(self) -> None:
        with self._lock:
            self._leading = False
            self._turn.notify_all()

    def _sync_forever(self) -> None:
        while not self._closed:
            self._dirty.wait()
            time.sleep(SYNC_DELAY)
            self._dirty.clear()
            self.sync()

    def _commit(self) -> None:
        """Write what waits as one commit, and sync once. Called by the leader, without the lock."""
        commits: list[_Commit] = []
        failure: LogFullError | LogFailedError | None = None
        finished = False
        try:
            with self._lock:
                commits = self._waiting()
                if commits:
                    self._write(commits)
                unsynced = self._tail.unsynced()
            if unsynced is not None:
                failure = self._sync(unsynced)
            finished = True
        except OSError as error:
            failure = _refusal(self.name, error)
        finally:
            if not finished and failure is None:
                failure = LogFailedError(f"stream {self.name} can't be written")
            for commit in commits:
                commit.error = None if failure is None else type(failure)(str(failure))
                commit.done = True

    def _sync(self, unsynced: Unsynced) -> LogFailedError | None:
        try:
            os.fdatasync(unsynced.segment.descriptor)
        except OSError as error:
            with self._lock:
                self._tail.sync_failed(error)
            return LogFailedError(f"stream {self.name} can't sync its log: {error}")
        with self._lock:
            self._tail.synced(unsynced)
        return None

    def _waiting(self) -> list[_Commit]:
        """As many of the waiting callers as one commit takes, at least one. Called with the lock held."""
        size = count = 0
        for commit in self._queue:
            size += commit.rows.stored_size
            if count and size > MAX_APPEND:
                break
            count += 1
        if count == len(self._queue):
            taken, self._queue = self._queue, []
        else:
            taken, self._queue = self._queue[:count], self._queue[count:]
        return taken

    def _write(self, commits: Sequence[_Commit]) -> None:
        seq = self._tail.write(Rows.joined([commit.rows for commit in commits]))
        for commit in commits:
            commit.first = seq
            seq += len(commit.rows)

    def _admit(self, size: int) -> None:
        """Raise why `size` more bytes may not be written. Called with the lock held."""
        if self._closed:
            raise LogFailedError(f"the log of stream {self.name} is closed")
        tail = self._tail
        try:
            self._room.check(self._settings, size, tail.open_base, tail.open_bytes)
        except OSError as error:
            raise LogFailedError(f"stream {self.name} can't look at its disk: {error}") from error


def _refusal(name: str, error: OSError) -> LogFullError | LogFailedError:
    if error.errno in _FULL:
        return LogFullError(f"the disk has no room for stream {name}: {error}")
    return LogFailedError(f"stream {name} can't write its log: {error}")
