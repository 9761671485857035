"""A node's logs and features as the inference process puts them together, in a folder."""

import time
from datetime import timedelta
from pathlib import Path

from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.engine import compiled
from skerry_edge.features.features import Features
from skerry_edge.features.letters import LetterBox
from skerry_edge.features.materializer import Sources
from skerry_edge.features.needs import Needs
from skerry_edge.features.version import Version

LETTERS = "dead-letter"


def settings(stream: str) -> StreamSettings:
    return StreamSettings(stream, 1, timedelta(days=30), 1 << 40)


class Site:
    """Logs that can be appended to, and one set that follows them."""

    def __init__(self, root: Path, digest: str, document: bytes) -> None:
        self.logs = EventLogs(root / "log", Owner("site-a", "node-1", "boot-1"))
        self.digest = digest
        letters = self.logs.open(settings(LETTERS))
        needs = Needs(frozenset([digest]), certain=True)
        sources = Sources(root / "log", 1, lambda: needs, lambda _: document, compiled)
        self.features = Features(root / "features", sources, lambda: LetterBox(root / "log" / LETTERS, letters, _wall))

    def version(self, seq: int) -> Version:
        """The set, once everything up to record `seq` is in it."""
        while (version := self.features.find(self.digest)) is None or version.applied.seq < seq:
            time.sleep(0.005)
        return version

    def close(self) -> None:
        self.features.stop()
        self.logs.close()


def _wall() -> int:
    return time.time_ns() // 1000
