"""Which of its own snapshots of features a node offers to the site's other nodes, and how one leaves it."""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client import Counter

from skerry_api.v1alpha1.runtimenode import FeatureSnapshot
from skerry_core.micros import time_of
from skerry_edge.features.snapshots import EXPIRES, FOLDER, Snapshot
from skerry_edge.sync.neighbours.sealed import CHUNK, seal, sealed_size
from skerry_edge.sync.traffic import NEIGHBOURS, Traffic

MAX_BYTES = 1 << 30
"""Of a snapshot that goes to another node."""
MAX_SECONDS = 600.0
"""For one transfer."""
_MAX_OFFERS = 64
_HEX_DIGITS = 64


@dataclass(frozen=True)
class Head:
    """What a file says of itself: digests of version and bytes (hex), and µs since 1970."""

    version: str
    content: str
    size: int
    begun: int
    made: int


def offered(heads: Iterable[Head], now: datetime) -> tuple[FeatureSnapshot, ...]:
    """The newest snapshot of each version that others may have. Pure."""
    newest: dict[str, Head] = {}
    for head in sorted(heads, key=lambda head: head.made):
        if head.made and head.size <= MAX_BYTES and time_of(head.made) + EXPIRES > now:
            newest[head.version] = head
    return tuple(
        FeatureSnapshot(
            feature_set=f"sha256:{head.version}",
            digest=f"sha256:{head.content}",
            size=head.size,
            begun_at=time_of(head.begun),
            made_at=time_of(head.made),
            expires_at=time_of(head.made) + EXPIRES,
        )
        for _, head in sorted(newest.items())[:_MAX_OFFERS]
    )


class Offers:
    """Reads inference's folder, and writes nothing there. Safe to use from several threads."""

    def __init__(self, features: Path, key: bytes, traffic: Traffic, served: Counter) -> None:
        """`features` is the feature store's folder, `key` the site's for snapshots; `served` counts by outcome."""
        self._folder = features / FOLDER
        self._key = key
        self._traffic = traffic
        self._served = served
        self._heads: dict[str, Head | None] = {}

    def current(self, now: datetime) -> tuple[FeatureSnapshot, ...]:
        """What may be had now; nothing of a folder that can't be read."""
        try:
            names = {path.name: path for path in self._folder.iterdir()} if self._folder.is_dir() else {}
        except OSError:
            return ()
        known = self._heads
        self._heads = {name: known[name] if name in known else _head(path) for name, path in names.items()}
        return offered((head for head in self._heads.values() if head is not None), now)

    def sealed(self, name: str) -> tuple[int, Iterator[bytes]] | None:
        """An offered file as it goes to another node: how many bytes, and these; None if there is none of the name.

        The bytes raise OSError.
        """
        for each in self.current(datetime.now(UTC)):
            if name == file_name(each):
                return sealed_size(each.size), self._sent(name)
        return None

    def _sent(self, name: str) -> Iterator[bytes]:
        until = time.monotonic() + MAX_SECONDS
        with (self._folder / name).open("rb") as file, self._traffic.exchange(NEIGHBOURS):
            for chunk in seal(self._key, name, iter(lambda: file.read(CHUNK), b"")):
                if time.monotonic() > until:
                    raise TimeoutError(f"{name} takes too long")
                yield chunk
                self._traffic.sent(len(chunk))
        self._served.labels("Sent").inc()


def file_name(snapshot: FeatureSnapshot) -> str:
    """What its file is called, here and there."""
    return f"{snapshot.feature_set.removeprefix('sha256:')}.{snapshot.digest.removeprefix('sha256:')}"


def _head(path: Path) -> Head | None:
    version, _, content = path.name.partition(".")
    if len(version) != _HEX_DIGITS or len(content) != _HEX_DIGITS:
        return None
    try:
        size = path.stat().st_size
        note = Snapshot(path, 0.0).note()
        return Head(version, content, size, note.begun, note.made)
    except (OSError, ValueError):
        return None
