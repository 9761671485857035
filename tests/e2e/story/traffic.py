"""Starts and steers the client of each site."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tests.e2e.story.dataset import Windows
from tests.e2e.story.ledger import Entry, Span, failures, read
from tests.e2e.story.reach import Reach

RATE = 20  # requests a second to each site


@dataclass
class SiteTraffic:
    """One site's client: what it sends, its ledger, and the spans in which failures were announced."""

    site: str
    folder: Path
    announced: list[Span] = field(default_factory=list)
    _process: subprocess.Popen[bytes] | None = None

    @property
    def ledger(self) -> Path:
        return self.folder / f"ledger-{self.site}.jsonl"

    @property
    def _rows(self) -> Path:
        return self.folder / f"rows-{self.site}.npy"

    def send_rows_of(self, windows: Windows) -> None:
        """From now on send these windows, in a fixed shuffled order, round and round."""
        order = np.random.default_rng(0).permutation(len(windows))
        draft = self._rows.with_suffix(".draft.npy")
        np.save(draft, windows.x[order])
        draft.replace(self._rows)

    def start(self, reach: Reach) -> None:
        """Start the client where it reaches the site."""
        command = [
            sys.executable, "-m", "tests.e2e.story.client",
            f"--url={reach.url()}", f"--rows={self._rows}", f"--ledger={self.ledger}", f"--rate={RATE}",
        ]  # fmt: skip
        self._process = reach.popen(command, env={**os.environ, "PYTHONWARNINGS": "ignore"})

    def stop(self) -> None:
        """Stop the client; requests under way are still written to the ledger."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
            self._process = None

    def entries(self) -> list[Entry]:
        """Everything that the client has written so far."""
        return list(read(self.ledger))

    def failures(self) -> list[Entry]:
        """Failures outside the announced spans."""
        return failures(iter(self.entries()), tuple(self.announced))

    def since(self, at: float) -> list[Entry]:
        """Requests sent after `at`, seconds since the epoch."""
        return [entry for entry in self.entries() if entry.at >= at]

    def serves_only(self, version: str, seconds: float = 1.0) -> bool:
        """Whether all answers of the last `seconds` came from this version, and there were some."""
        recent = self.since(time.time() - seconds)
        return bool(recent) and all(entry.version == version and not entry.failure for entry in recent)

    def resume_after_failure(self, start: float) -> Span:
        """Announce the failures since `start` until the last one; returns that span."""
        failed = [entry for entry in self.since(start) if entry.failure]
        span = Span(start, max((entry.at for entry in failed), default=start))
        self.announced.append(span)
        return span
