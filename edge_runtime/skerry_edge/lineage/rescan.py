"""Finds a stream's records again in the logs that are kept, from the newest back, within bounds of time and bytes."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from skerry_core.batch.contents import MAX_SEQ
from skerry_core.batch.flags import Flags
from skerry_core.features.apply import RawEvents
from skerry_core.lineage.explain import Kept, Wanted
from skerry_core.lineage.explanation import Missing
from skerry_core.lineage.members import may_name, plain_parts
from skerry_edge.events.holes import HoleReason
from skerry_edge.events.identity import ASIDE
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ, ColumnBatch
from skerry_edge.events.segment import segment_firsts

_ALL = MAX_SEQ
_WHY = {
    HoleReason.EXPIRED: "they expired on this node",
    HoleReason.REMOVED: "they were uploaded and removed from this node; the hub has them",
    HoleReason.DAMAGED: "they are damaged on this node's disk",
}


@dataclass(frozen=True)
class Limits:
    """What one look-up may take: bytes of records that are read, bytes of those about the entity, and seconds."""

    max_bytes: int = 256 << 20
    max_held: int = 16 << 20
    seconds: float = 10.0


@dataclass
class _Scan:
    """What was found so far."""

    bodies: list[bytes] = field(default_factory=list)
    times: list[int] = field(default_factory=list)
    received: list[int] = field(default_factory=list)
    ids: list[tuple[str, int]] = field(default_factory=list)
    gone: dict[str, int] = field(default_factory=dict)
    size: int = 0
    held: int = 0

    def miss(self, reason: str, records: int) -> None:
        if records:
            self.gone[reason] = self.gone.get(reason, 0) + records

    def take(self, wanted: Wanted, epoch: str, batch: ColumnBatch) -> None:
        """Add the batch's records that are wanted and may be about the entity."""
        entity = plain_parts(wanted.entity)
        mine = batch.received >= wanted.span.start
        if epoch == wanted.epoch:
            mine &= np.arange(batch.first, batch.last + 1) <= wanted.seq
        else:
            mine &= batch.received <= wanted.until
        redacted = (batch.flags & Flags.REDACTED) != 0
        self.miss("they were redacted", int(np.count_nonzero(mine & redacted)))
        for index in np.flatnonzero(mine & ~redacted).tolist():
            body = batch.body(index)
            if not may_name(body, entity):
                continue
            self.held += len(body)
            self.bodies.append(body)
            self.times.append(int(batch.time[index]))
            self.received.append(int(batch.received[index]))
            self.ids.append((epoch, batch.first + index))
        self.size += int(batch.offsets[-1]) - int(batch.offsets[0])

    def kept(self) -> Kept:
        times, received = np.array(self.times, np.int64), np.array(self.received, np.int64)
        missing = tuple(Missing(reason, records) for reason, records in sorted(self.gone.items()))
        return Kept(RawEvents(self.bodies, times, received), self.ids, missing)


def log_folders(root: Path, stream: str) -> list[Path]:
    """A stream's live log and those of it that were set aside, the live one first."""
    aside = (path for path in root.glob(f"{stream}{ASIDE}*") if path.is_dir())
    return [root / stream, *sorted(aside, key=lambda path: path.stat().st_mtime_ns, reverse=True)]


def rescan(root: Path, wanted: Wanted, limits: Limits, steady: Callable[[], float] = time.monotonic) -> Kept:
    """All kept records that are wanted, of the logs below `root`. Raises OSError.

    A log is read back from its newest segment until one in which all is older than what is wanted. A node's clock that
    was set back within the windows can make that too early; the count of events that is recorded then shows it.
    """
    scan, until = _Scan(), steady() + limits.seconds
    for folder in log_folders(root, wanted.stream):
        reader = LogReader(folder)
        identity = reader.identity
        if identity is None:
            continue
        for first, last in _segments(folder, wanted.seq if identity.epoch == wanted.epoch else None):
            if scan.size > limits.max_bytes or scan.held > limits.max_held or steady() > until:
                scan.miss("looking for them would have taken too long", last - FIRST_SEQ + 1)
                break
            newest = _read(reader, scan, wanted, identity.epoch, first, last)
            if newest is not None and newest < wanted.span.start:
                break
        else:
            # Nothing that is kept is older than the windows: what went before may have been in them.
            _before(reader, folder, scan, wanted.seq if identity.epoch == wanted.epoch else _ALL)
    return scan.kept()


def _segments(folder: Path, seq: int | None) -> Iterator[tuple[int, int]]:
    """First and last number of each segment, the newest first, up to the number `seq`."""
    try:
        firsts = segment_firsts(folder)
    except FileNotFoundError:
        return
    ends = [*firsts[1:], _ALL]
    for first, end in reversed(list(zip(firsts, ends, strict=True))):
        if seq is None or first <= seq:
            yield first, end - 1 if seq is None else min(end - 1, seq)


def _read(reader: LogReader, scan: _Scan, wanted: Wanted, epoch: str, first: int, last: int) -> int | None:
    """Look through records `first` to `last`; the newest time at which one of them was received."""
    newest, at = None, first
    while at <= last and (batches := reader.read(at, min(last - at + 1, _ALL))):
        for batch in batches:
            if batch.first > last:
                return newest
            scan.take(wanted, epoch, batch)
            latest = int(batch.received.max())
            newest = latest if newest is None else max(newest, latest)
        at = batches[-1].last + 1
    return newest


def _before(reader: LogReader, folder: Path, scan: _Scan, seq: int) -> None:
    firsts = segment_firsts(folder) if folder.is_dir() else []
    last = min(firsts[0] - 1, seq) if firsts else 0
    if last < FIRST_SEQ:
        return
    for hole in reader.holes(FIRST_SEQ, last):
        reason = _WHY.get(hole.reason)
        if reason is not None:
            scan.miss(reason, hole.last - hole.first + 1)
