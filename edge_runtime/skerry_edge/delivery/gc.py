"""Which blobs may go: never one that is kept, the oldest first, and no more than needed."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

# A revert shortly after a release left the assignment then costs no bytes.
UNUSED_FOR = timedelta(days=7)


@dataclass(frozen=True)
class Blob:
    """One whole blob on disk; `size` in bytes, `at` when it came."""

    digest: str
    size: int
    at: datetime


@dataclass(frozen=True)
class Keep:
    """What must stay. If not all of it could be read (`complete` is false), nothing may go."""

    digests: frozenset[str]
    complete: bool = True


def _loose(blobs: Iterable[Blob], keep: Keep) -> list[Blob]:
    if not keep.complete:
        return []
    return sorted((blob for blob in blobs if blob.digest not in keep.digests), key=lambda blob: (blob.at, blob.digest))


def expired(blobs: Iterable[Blob], keep: Keep, now: datetime) -> tuple[Blob, ...]:
    """Blobs that nothing refers to and that came longer than UNUSED_FOR ago."""
    return tuple(blob for blob in _loose(blobs, keep) if now - blob.at > UNUSED_FOR)


def make_room(blobs: Iterable[Blob], keep: Keep, needed: int) -> tuple[Blob, ...] | None:
    """Oldest unreferenced blobs whose removal frees `needed` bytes; None, and nothing goes, if all don't suffice."""
    victims: list[Blob] = []
    freed = 0
    for blob in _loose(blobs, keep):
        if freed >= needed:
            break
        victims.append(blob)
        freed += blob.size
    return tuple(victims) if freed >= needed else None
