"""A log to play with, and how its process may end."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.events.rows import Rows
from skerry_edge.events.settings import StreamSettings

if TYPE_CHECKING:
    from pathlib import Path

    from skerry_edge.events.log import StreamLog

OWNER = Owner("site-a", "node-1", "boot-1")
SETTINGS = StreamSettings("vitals", 1, timedelta(days=8), 1 << 30)
NOW = 1_790_000_000_000_000


def body(number: int) -> bytes:
    return b'{"n":%d,"pad":"%s"}' % (number, b"x" * (number % 40))


def record(number: int, pad: int = 0) -> NewRecord:
    return NewRecord(body(number) + b" " * pad, NOW + number, NOW + number + 5)


def records(count: int, start: int = 1) -> list[NewRecord]:
    return [record(number) for number in range(start, start + count)]


class Machine:
    """A node's clocks and boots."""

    def __init__(self, root: Path, segment_bytes: int = 8 << 20):
        self.root = root
        self.wall = NOW * 1000
        self.up = 10_000
        self.owner = OWNER
        self.segment_bytes = segment_bytes
        self.logs: EventLogs | None = None

    def pass_time(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.up += int(seconds * 1e3)

    def reboot(self) -> None:
        self.owner = replace(self.owner, boot_id=self.owner.boot_id + "+")
        self.up = 10_000

    def start(self, settings: StreamSettings = SETTINGS) -> StreamLog:
        self.logs = EventLogs(
            self.root,
            self.owner,
            fence=self.root / "log-fence.json",
            segment_bytes=self.segment_bytes,
            wall=lambda: self.wall,
            uptime=lambda: self.up,
        )
        return self.logs.open(settings)

    @property
    def folder(self) -> Path:
        return self.root / SETTINGS.name


def blocks(log: StreamLog, groups) -> None:
    """Append each group of numbers as a block of its own, all of them with one sync."""
    for group in groups:
        log._tail.write(Rows.of([record(number) for number in group]))
    log.sync()


def die(log: StreamLog) -> None:
    """End as a killed process does: what is written stays written, nothing more is synced."""
    log._tail.unsynced = lambda: None
    log.close()


def all_records(folder: Path, seq: int = 1):
    reader = LogReader(folder)
    found = []
    while batches := reader.read(seq, 1000):
        found += [record for batch in batches for record in batch.records()]
        seq = batches[-1].last + 1
    return found


def seqs(folder: Path, seq: int = 1) -> list[int]:
    return [record.seq for record in all_records(folder, seq)]


class Sync:
    """Stands before os.fdatasync: counts files, and fails when told to."""

    def __init__(self, monkeypatch):
        self.failures = 0
        self.synced: list[int] = []
        # Held open, so that no other file gets the inode.
        self.failed: dict[int, int] = {}
        self._real = os.fdatasync
        monkeypatch.setattr(os, "fdatasync", self)

    def __call__(self, descriptor: int) -> None:
        inode = os.fstat(descriptor).st_ino
        assert inode not in self.failed, "a file was synced again after a failure"
        if self.failures:
            self.failures -= 1
            self.failed[inode] = os.dup(descriptor)
            raise OSError(5, "Input/output error")
        self._real(descriptor)
        self.synced.append(inode)

    def close(self) -> None:
        for descriptor in self.failed.values():
            os.close(descriptor)
