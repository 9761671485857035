"""A node's prediction log, written by the code that writes it on nodes, and a store that keeps batches."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import zstandard

from skerry_core.store.granted import Listing
from skerry_core.store.port import ObjectInfo
from skerry_edge.events.log import open_log

if TYPE_CHECKING:
    from pathlib import Path

    from skerry_core.errors import WaitError


class Log:
    """Appends numbered records to the log below `root`; segments are small, so that there are many."""

    def __init__(self, root: Path, boot_id: str = "boot-1", segment_bytes: int = 2000):
        folder = root / "inference"
        folder.mkdir(parents=True, exist_ok=True)
        self._log = open_log(folder, boot_id, segment_bytes=segment_bytes)
        self.epoch = self._log.epoch
        self.appended: list[tuple[str, int]] = []

    def append(self, count: int) -> None:
        for _ in range(count):
            seq = self._log.append(self._encode)
            self.appended.append((self.epoch, seq))

    def close(self) -> None:
        self._log.close()

    def _encode(self, seq: int) -> bytes:
        return json.dumps({"epoch": self.epoch, "seq": seq, "request": f"request-{seq}"}).encode()


class Outbox:
    """What a granted store does with uploads, in memory; `fault` is raised instead while it is set."""

    def __init__(self, listed: int = 1000):
        self.objects: dict[str, bytes] = {}
        self.fault: WaitError | None = None
        self.listed = listed

    def upload(self, key: str, data: bytes) -> None:
        if self.fault:
            raise self.fault
        self.objects[key] = data

    def list_own(self) -> Listing:
        if self.fault:
            raise self.fault
        keys = sorted(self.objects)
        return Listing(
            tuple(ObjectInfo(key, len(self.objects[key])) for key in keys[: self.listed]), len(keys) <= self.listed
        )


def records_of(batch: bytes) -> list[tuple[str, int]]:
    """Ids in a batch, in its order."""
    lines = zstandard.ZstdDecompressor().decompress(batch).splitlines()
    return [(record["epoch"], record["seq"]) for record in map(json.loads, lines)]
