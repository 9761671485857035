"""What to fetch and what to delete next: pure, from what is wanted and what is there."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from skerry_core import backoff
from skerry_edge.delivery import gc
from skerry_edge.delivery.gc import Blob, Keep

# Space comes back without telling anybody, so a full disk is looked at again this often.
DISK_RECHECK = timedelta(seconds=5)
# The part of the volume that models leave to the prediction log and to the node.
RESERVE_FRACTION = 0.05
RESERVE_LIMIT = 512 << 20
# The reason of what is on its way.
DOWNLOADING = "Downloading"


@dataclass(frozen=True)
class Wanted:
    """A blob to have: `limit` bounds its bytes, `size` is exact where a manifest tells it."""

    digest: str
    limit: int
    size: int | None = None


@dataclass(frozen=True)
class Disk:
    """The blob store on disk: whole blobs, bytes received of unfinished ones, bytes free for us and in all."""

    blobs: tuple[Blob, ...]
    partials: Mapping[str, int]
    free: int
    capacity: int

    @property
    def room(self) -> int:
        """Bytes that downloads may take; negative once the reserve is touched."""
        return self.free - min(int(self.capacity * RESERVE_FRACTION), RESERVE_LIMIT)


@dataclass(frozen=True)
class Attempt:
    """How the last tries of a blob ended, and when to try again."""

    failures: int
    reason: str
    message: str
    retry_at: datetime


@dataclass(frozen=True)
class Fetch:
    """Download a blob, going on after the bytes already there."""

    wanted: Wanted


@dataclass(frozen=True)
class Delete:
    """Delete a whole blob."""

    digest: str


@dataclass(frozen=True)
class DropPartial:
    """Delete an unfinished download that nothing wants any more."""

    digest: str


Command = Fetch | Delete | DropPartial


@dataclass(frozen=True)
class Pending:
    """A wanted blob that isn't there, and why; sizes in bytes."""

    digest: str
    reason: str
    message: str
    received: int
    size: int | None


@dataclass(frozen=True)
class Plan:
    """Commands in order, at most one of them a Fetch; what is missing; when to look again (None: when told)."""

    commands: tuple[Command, ...]
    pending: tuple[Pending, ...]
    wake_at: datetime | None


def plan(wanted: Iterable[Wanted], disk: Disk, keep: Keep, attempts: Mapping[str, Attempt], now: datetime) -> Plan:
    """Decide the next step towards having everything wanted, in the order wanted.

    A blob that waits after a failure, or doesn't fit, holds up none behind it. Neither a kept nor a wanted blob is ever
    deleted; if what may be deleted doesn't make enough room, nothing is, and the blob is pending as DiskTooSmall.
    """
    wants: dict[str, Wanted] = {}
    for item in wanted:
        wants.setdefault(item.digest, item)
    held = {blob.digest for blob in disk.blobs}
    missing = [item for item in wants.values() if item.digest not in held]
    keep = Keep(keep.digests | wants.keys(), keep.complete)

    commands: list[Command] = []
    if keep.complete:
        commands += [DropPartial(digest) for digest in disk.partials if digest not in wants or digest in held]
    gone = gc.expired(disk.blobs, keep, now)
    commands += [Delete(blob.digest) for blob in gone]
    left = tuple(blob for blob in disk.blobs if blob not in gone)
    room = disk.room + sum(blob.size for blob in gone)

    pending: list[Pending] = []
    wakes: list[datetime] = []
    fetching = False
    for item in missing:
        received = disk.partials.get(item.digest, 0)
        needed = (item.limit if item.size is None else item.size) - received
        failed = attempts.get(item.digest)
        reason, message = DOWNLOADING, ""
        if failed is not None:
            reason, message = failed.reason, failed.message
        # No pause is longer than that: one that seems so was set by a clock that has gone back since.
        if failed is not None and timedelta() < failed.retry_at - now <= backoff.LONGEST:
            wakes.append(failed.retry_at)
        elif not fetching:
            victims = gc.make_room(left, keep, needed - room)
            if victims is None:
                reason, message = "DiskTooSmall", _too_small(needed, room)
                wakes.append(now + DISK_RECHECK)
            else:
                commands += [Delete(blob.digest) for blob in victims]
                commands.append(Fetch(item))
                fetching = True
        pending.append(Pending(item.digest, reason, message, received, item.size))
    if fetching:
        wakes = [now]
    return Plan(tuple(commands), tuple(pending), min(wakes, default=None))


def _too_small(needed: int, room: int) -> str:
    return (
        f"{needed} more bytes are needed and {max(room, 0)} are free beside the reserve, with nothing left to delete: "
        "free space on the node's volume, or give it a larger one"
    )
