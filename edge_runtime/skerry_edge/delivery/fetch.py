"""Downloads one blob for one turn: resumed, bounded in bytes and time, digest-checked before it counts."""

import errno
import time
from collections.abc import Callable, Iterator
from typing import BinaryIO

from skerry_core.errors import RetryError, WaitError
from skerry_edge.delivery.blobs import BlobFolder
from skerry_edge.delivery.plan import Wanted

# A turn ends after this long, whatever has come, so that a slow blob holds up neither another nor a new assignment.
TURN_SECONDS = 60.0
# A store slower than this over a whole turn counts as failing; bytes per second.
SLOWEST = 1024

# Yields a blob's bytes from an offset on, and raises rather than go beyond the size given last.
Source = Callable[[str, int, int], Iterator[bytes]]


def fetch(
    wanted: Wanted,
    blobs: BlobFolder,
    source: Source,
    interrupted: Callable[[], bool],
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
            if wanted.size is None or start > wanted.size:
                # Small blobs of unknown size aren't worth resuming: a Range behind their end is an error.
                file.truncate(0)
                start = 0
            finished = start == wanted.size or _receive(wanted, start, file, source, interrupted, clock)
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
    clock: Callable[[], float],
) -> bool:
    received = start
    began = clock()
    for chunk in source(wanted.digest, start, wanted.limit):
        file.write(chunk)
        received += len(chunk)
        elapsed = clock() - began
        if elapsed > TURN_SECONDS:
            _check_speed(received - start, elapsed)
            return False
        if interrupted():
            return False
    if wanted.size is not None and received < wanted.size:
        raise RetryError("DownloadTruncated", f"{received} of {wanted.size} bytes came before the connection ended")
    return True


def _check_speed(received: int, elapsed: float) -> None:
    if received < SLOWEST * elapsed:
        raise RetryError("StoreSlow", f"the store sent {received} bytes in {elapsed:.0f} s: look at it")
