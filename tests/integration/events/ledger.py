"""What writers were promised, held against what a log has."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from typing import TYPE_CHECKING

from skerry_edge.events.holes import HoleReason
from skerry_edge.events.reader import LogReader
from tests.integration.events.writer import STREAM, open_logs, settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Writer:
    """The process, and what it has said so far."""

    def __init__(
        self, root: Path, boot: str, seed: str, stop: int = 1_000_000, *, threads: int = 2, under: Sequence[str] = ()
    ):
        self.lines: list[str] = []
        argv = [*under, sys.executable, "-m", "tests.integration.events.writer", str(root), boot, seed]
        argv += [str(stop), str(threads)]
        self.process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True)
        self._listening = threading.Thread(target=self._listen)
        self._listening.start()

    def _listen(self) -> None:
        for line in self.process.stdout:
            if line.endswith(b"\n"):
                self.lines.append(line.decode().strip())

    def said(self, count: int, seconds: float = 120.0) -> None:
        """Wait until it has said so many lines, or ended."""
        waiting = threading.Event()
        for _ in range(int(seconds * 200)):
            if len(self.lines) >= count or self.process.poll() is not None:
                return
            waiting.wait(0.005)
        raise AssertionError(f"the writer said {len(self.lines)} lines in {seconds} s")

    def kill(self) -> None:
        """Kill it, and what traces it."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.end()

    def end(self) -> int:
        """Wait for the end, and for the last line."""
        code = self.process.wait(timeout=120)
        self._listening.join()
        self.process.stdout.close()
        return code


class Ledger:
    """Over several lives of one log's folder."""

    def __init__(self, root: Path):
        self.root = root
        self.acknowledged: dict[tuple[str, int], str] = {}
        self.soon: dict[tuple[str, int], str] = {}
        self.failed: set[str] = set()
        self.lost = self.doubled = self.came_back = 0

    def add(self, lines: Sequence[str], cut_at: float = math.inf) -> None:
        """Take what a writer said. `cut_at`, monotonic ns, is when the power went: nobody hears a promise after that.

        ext4 makes some: while it is shut down, an fdatasync that has begun may return 0 for what never got to the disk.
        """
        for line in lines:
            match line.split():
                case ["A", epoch, seq, number, at]:
                    promises = self.acknowledged if int(at) < cut_at else self.soon
                    promises[epoch, int(seq)] = number
                case ["S", epoch, seq, number]:
                    self.soon[epoch, int(seq)] = number
                case ["F", number]:
                    self.failed.add(number)

    def audit(self, boot: str, *, killed: bool) -> None:
        """Open the log as the next process would, and count what is lost, doubled or came back.

        After a kill, what was written soon must be there as well. The numbers must be what was promised.
        """
        logs = open_logs(self.root, boot)
        log = logs.open(settings())
        logs.verify()
        status = log.status()
        assert (status.damaged, status.damaged_ranges) == (0, ()), status
        found = read(self.root)
        promised = self.acknowledged | (self.soon if killed else {})
        self.lost += sum(found.get(identity) != number for identity, number in promised.items())
        times = Counter(found.values())
        self.doubled += sum(count - 1 for count in times.values())
        self.came_back += sum(number in times for number in self.failed)
        assert all(self.soon.get(identity, number) == number for identity, number in found.items())
        self._every_number(log.epoch, found)
        logs.close()
        # What the power cut took is gone for good: nothing else may get its number.
        self.soon = {identity: number for identity, number in self.soon.items() if identity in found}

    def _every_number(self, epoch: str, found: dict[tuple[str, int], str]) -> None:
        top = max((seq for _, seq in found), default=0)
        holes = LogReader(self.root / STREAM).holes(1, top)
        assert all(hole.reason is HoleReason.SKIPPED for hole in holes)
        assert sum(hole.last - hole.first + 1 for hole in holes) + len(found) == top
        assert {each for each, _ in found} <= {epoch}


def read(root: Path, stream: str = STREAM) -> dict[tuple[str, int], str]:
    """What the bodies of all records say, by identity."""
    reader = LogReader(root / stream)
    found: dict[tuple[str, int], str] = {}
    seq = 1
    while batches := reader.read(seq, 5000):
        for batch in batches:
            for record in batch.records():
                assert (reader.identity.epoch, record.seq) not in found
                found[reader.identity.epoch, record.seq] = json.loads(record.body)["n"]
        seq = batches[-1].last + 1
    return found
