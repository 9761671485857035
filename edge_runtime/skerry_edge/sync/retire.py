"""Removes what was sent from the node's disk, no earlier than the room is needed: the hub may ask for it again.

Only whole closed segments go, of which the store has every record (by the note on disk, not by what is believed), and
which nothing on the node still has to read. What features still have to read stays, too, but only while it takes no
room that new events need: a value that is computed from less of the past is better than an event that is refused.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from itertools import pairwise

import structlog
from prometheus_client import CollectorRegistry, Counter

from skerry_core.durable import fsync_directory
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.follow import Place
from skerry_edge.events.segment import segment_firsts, segment_path
from skerry_edge.features.needed import Wishes
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.outgoing import Outgoing
from skerry_edge.sync.positions import Range, Sent
from skerry_edge.sync.sent_notes import SentNotes

PERIOD = timedelta(seconds=5)
# Of its limit, what a stream may keep of what was sent.
KEEP = 0.5
# Of its limit, what a stream may keep of it for features.
KEEP_FOR_FEATURES = 0.8
# Below this part of the volume free, nothing that was sent is kept.
SHORT = 0.15

_log = structlog.get_logger()


def removable(
    segments: Sequence[tuple[int, int]], sizes: Mapping[int, int], sent: Sent, needed: int, keep: int
) -> list[int]:
    """First numbers of the oldest segments to remove, until at most `keep` bytes are left. Pure.

    `segments` are closed ones as (first, the number behind their last), `sizes` of all segments in bytes; `needed` is
    the highest number that everybody else has read. No segment goes before an older one: readers take a hole among
    segments for damage.
    """
    left = sum(sizes.values())
    gone = []
    for first, until in segments:
        if left <= keep or until - 1 > needed or not sent.covers(Range(first - 1, until - 1)):
            break
        gone.append(first)
        left -= sizes[first]
    return gone


class Retirement:
    """A loop's step.

    `held` gives, of everybody who reads logs here, up to where each stream has been read; `wishes` what features need.
    """

    def __init__(
        self,
        layout: Layout,
        outgoing: Callable[[], Sequence[Outgoing]],
        notes: SentNotes,
        policy: Callable[[], SyncPolicyDocument],
        held: Callable[[], Sequence[Mapping[str, Place]]],
        wishes: Callable[[], Wishes],
        registry: CollectorRegistry,
    ) -> None:
        self._layout = layout
        self._outgoing = outgoing
        self._notes = notes
        self._policy = policy
        self._held = held
        self._wishes = wishes
        self._freed = Counter(
            "skerry_sync_freed_bytes_total", "Bytes of segments removed after upload.", ["stream"], registry=registry
        )
        self._unread = Counter(
            "skerry_sync_freed_unread_bytes_total",
            "Bytes of segments removed before features had read them, since their room was needed.",
            ["stream"],
            registry=registry,
        )

    def step(self) -> timedelta:
        """Remove what may go; the pause until the next step. Raises OSError."""
        held = self._held()
        short, wishes = self._short(), self._wishes()
        for item in self._outgoing():
            with item.lock:
                if item.source.sealed:
                    self._drop_sealed(item, wishes, short=short)
                else:
                    self._remove(item, held, wishes, short=short)
        identities = [item.identity for item in self._outgoing()]
        if identities and None not in identities:
            self._notes.forget([identity.epoch for identity in identities if identity is not None])
        return PERIOD

    def _remove(self, item: Outgoing, held: Sequence[Mapping[str, Place]], wishes: Wishes, *, short: bool) -> None:
        identity, folder = item.identity, item.source.folder
        if identity is None or item.fenced or not folder.is_dir():
            return
        firsts = segment_firsts(folder)
        stream = self._policy().stream(item.stream)
        most = 0 if short or stream is None else stream.max_bytes
        keep = int(most * KEEP)
        sizes = {first: item.source.size(first) for first in firsts}
        if len(firsts) < 2 or sum(sizes.values()) <= keep:  # noqa: PLR2004 - the newest one stays
            return
        places = [place for readers in held if (place := readers.get(item.stream)) is not None]
        needed = min((place.seq if place.epoch == identity.epoch else 0 for place in places), default=firsts[-1])
        # What the hub asks for again is still wanted here.
        needed = min((needed, *(part.after for part in item.resend)))
        durable = self._notes.durable(identity.epoch)
        closed = list(pairwise(firsts))
        wished = wishes.needs_after(item.stream, identity.epoch)
        unread = firsts[-1] if wished is None else wished
        gone = max(
            removable(closed, sizes, durable, min(needed, unread), keep),
            removable(closed, sizes, durable, needed, int(most * KEEP_FOR_FEATURES)),
            key=len,
        )
        if not gone or not _unlink(item, identity.epoch, gone):
            return
        lost = sum(sizes[first] for first, until in closed if first in gone and until - 1 > unread)
        if lost:
            self._unread.labels(item.stream).inc(lost)
            _log.warning("log segments removed before features had read them", stream=item.stream, bytes=lost)
        self._freed.labels(item.stream).inc(sum(sizes[first] for first in gone))
        _log.info("log segments removed", stream=item.stream, count=len(gone))

    def _drop_sealed(self, item: Outgoing, wishes: Wishes, *, short: bool) -> None:
        """Remove a log that was set aside, or what expiry left of it, once the store has all of it and features too."""
        identity, folder = item.identity, item.source.folder
        if identity is None or item.resend or not folder.is_dir():
            return
        if not short and wishes.needs_aside(item.stream, identity.epoch):
            return
        last = item.source.head(identity)
        if last is None or not self._notes.durable(identity.epoch).covers(Range(0, last)):
            return
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
        fsync_directory(folder.parent)
        _log.info("log that was set aside removed", folder=folder.name)

    def _short(self) -> bool:
        volume = os.statvfs(self._layout.root)
        return volume.f_bavail < SHORT * volume.f_blocks


def _unlink(item: Outgoing, epoch: str, firsts: Sequence[int]) -> bool:
    """Durably remove segments of this very log; false if another has taken its folder's place.

    Inference may set the folder aside at any moment and begin a new one under its name: what was opened before the look
    at the epoch stays the folder that was looked at.
    """
    descriptor = os.open(item.source.folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        again = item.source.identity
        if again is None or again.epoch != epoch:
            return False
        for first in firsts:
            with suppress(FileNotFoundError):
                os.unlink(segment_path(item.source.folder, first).name, dir_fd=descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return True
