"""Downloads one blob for one turn: resumed, bounded in bytes and time, digest-checked before it counts."""

import errno
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from skerry_core.errors import RetryError, WaitError
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.plan import Wanted

# A turn ends after this long, whatever has come, so that a slow blob holds up neither another nor a new assignment.
TURN_SECONDS = 60.0
# A store slower than this over a whole turn counts as failing; bytes per second.
SLOWEST = 1024

# Yields a blob's bytes [start, end) (None: to its end), and raises rather than go beyond the size given before that.
Source = Callable[[str, int, int, int | None], Iterator[bytes]]


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn may take: bytes (None: all there are), and bytes a second (None: any rate)."""

    max_bytes: int | None = None
    rate: int | None = None


WHOLE = Turn()


def fetch(
    wanted: Wanted,
    blobs: BlobFolder,
    source: Source,
    interrupted: Callable[[], bool],
    turn: Turn = WHOLE,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Go on with a blob's download; true once it is whole and checked, false if the turn ended before.

    Raises WaitError (DigestMismatch after discarding what came; DiskTooSmall), RetryError (DownloadTruncated,
    StoreSlow; what came is kept) and what `source` raises.
    """
    path = blobs.partial(wanted.digest)
    try:
        with path.open("ab") as file:
            start = file.tell()
            if _not_resumable(wanted, start, turn):
                file.truncate(0)
                start = 0
            finished = start == wanted.size or _receive(wanted, start, file, source, interrupted, turn, clock)
        if not finished:
            return False
        if not blobs.admit(wanted.digest):
            raise WaitError(
                "DigestMismatch",
                f"the store's bytes for {wanted.digest} have another digest and were discarded: push the bundle again",
            )
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise WaitError("DiskTooSmall", "the node's volume ran full during a download: free space on it") from error
        # After a failed write or fsync the file's content is anybody's guess.
        blobs.drop_partial(wanted.digest)
        raise RetryError("DiskFault", f"the node's volume failed: {error}") from error
    return True


def _receive(
    wanted: Wanted,
    start: int,
    file: BinaryIO,
    source: Source,
    interrupted: Callable[[], bool],
    turn: Turn,
    clock: Callable[[], float],
) -> bool:
    received = start
    began = clock()
    end = None if turn.max_bytes is None else start + turn.max_bytes
    if end is not None and wanted.size is not None:
        end = min(end, wanted.size)
    for chunk in source(wanted.digest, start, wanted.limit, end):
        file.write(chunk)
        received += len(chunk)
        elapsed = clock() - began
        if elapsed > TURN_SECONDS:
            _check_speed(received - start, elapsed, turn.rate)
            return False
        if interrupted():
            return False
    if received == end and received != wanted.size:
        return False
    if wanted.size is not None and received < wanted.size:
        raise RetryError("DownloadTruncated", f"{received} of {wanted.size} bytes came before the connection ended")
    return True


def _not_resumable(wanted: Wanted, start: int, turn: Turn) -> bool:
    """Whether what is there is better dropped. A small blob of unknown size is, unless it may only come in pieces."""
    if wanted.size is None:
        return turn.max_bytes is None or start > wanted.limit
    return start > wanted.size


def _check_speed(received: int, elapsed: float, rate: int | None) -> None:
    if received < (SLOWEST if rate is None else min(SLOWEST, rate / 2)) * elapsed:
        raise RetryError("StoreSlow", f"the store sent {received} bytes in {elapsed:.0f} s: look at it")
