"""A node's logs, written by the code that writes them on nodes, and a store that keeps what is uploaded."""

from __future__ import annotations

import json
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from skerry_core.batch.codec import decode
from skerry_core.batch.key import parse_key
from skerry_core.store.granted import Listing
from skerry_core.store.port import ObjectInfo
from skerry_edge.events.expiry import uptime_ms
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.inference.intent import boot_id

if TYPE_CHECKING:
    from pathlib import Path

    from skerry_core.batch.contents import Batch
    from skerry_core.errors import WaitError

SITE, NODE = "site-a", "node-1"
Id = tuple[str, int]


class Log:
    """Appends numbered records to a stream's log below `root`; segments are small, so that there are many."""

    def __init__(
        self,
        root: Path,
        stream: str = "predictions",
        *,
        boot: str | None = None,
        segment_bytes: int = 1500,
        folder: str = "inference/log",
    ):
        self.days = 0
        self._logs = EventLogs(
            root / folder,
            Owner(SITE, NODE, boot or boot_id()),
            fence=root / "store/log-fence.json",
            segment_bytes=segment_bytes,
            wall=lambda: time.time_ns() + self.days * 86_400_000_000_000,
            uptime=lambda: uptime_ms() + self.days * 86_400_000,
        )
        self._log = self._logs.open(StreamSettings(stream, 1, timedelta(days=30), 1 << 30))
        self.epoch = self._log.epoch
        self.folder = root / folder / stream
        self.appended: list[Id] = []

    def append(self, count: int, size: int = 0) -> None:
        """Append records, durably; of about `size` bytes that hardly compress, if it is given."""
        now = time.time_ns() // 1000
        made = [
            NewRecord(json.dumps({"request": f"request-{now}-{n}", **_padding(size, n)}).encode(), now, now)
            for n in range(count)
        ]
        step = 10 if count <= 200 else 100
        for at in range(0, count, step):
            self.appended += [(self.epoch, seq) for seq in self._log.append(made[at : at + step])]

    def expire(self, days: int) -> None:
        """Have so many days pass."""
        self.days += days
        self._logs.expire()

    def close(self) -> None:
        self._logs.close()


def _padding(size: int, seed: int) -> dict[str, str]:
    if not size:
        return {}
    import random  # noqa: PLC0415 - most tests need none

    return {"padding": random.Random(f"{time.time_ns()}-{seed}").randbytes(size // 2).hex()}


class Outbox:
    """What a granted store does with uploads, in memory; `fault` is raised instead while it is set."""

    def __init__(self, listed: int = 1000):
        self.objects: dict[str, bytes] = {}
        self.fault: WaitError | None = None
        self.listed = listed
        self.uploads: list[str] = []

    def upload(self, key: str, data: bytes) -> None:
        if self.fault:
            raise self.fault
        self.uploads.append(key)
        self.objects[key] = data

    def list_own(self) -> Listing:
        return self._list("")

    def list_resends(self) -> Listing:
        return self._list("resend/")

    def _list(self, prefix: str) -> Listing:
        if self.fault:
            raise self.fault
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        return Listing(
            tuple(ObjectInfo(key, len(self.objects[key])) for key in keys[: self.listed]), len(keys) <= self.listed
        )


def batches_of(objects: dict[str, bytes]) -> list[Batch]:
    """All batches of a store, each checked against its key."""
    found = []
    for key in sorted(objects):
        name = parse_key(SITE, key.removeprefix(f"sites/{SITE}/"))
        if name is not None:
            batch = decode(objects[key])
            assert (batch.log, batch.after, batch.last) == (name.log, name.after, name.last)
            found.append(batch)
    return found


def stored(objects: dict[str, bytes]) -> list[Id]:
    """Ids of all rows in the store, as often as they are there."""
    return [(batch.log.epoch, row.seq) for batch in batches_of(objects) for row in batch.rows]
