"""Reading what a disk may have lost: a page that it can't read any more is damage, a disk that reads nothing is not.

A worn disk answers EIO for some pages and reads all others. Such a page is handed on as bytes that are no block, so
that it is fenced, told and gone round as flipped bytes are. If the disk is gone as a whole (a cable, a controller),
that would make everything on it lost, and be told so to the hub for good: then the error is raised, and whoever reads
tries again.
"""

import errno
import os
from pathlib import Path

PAGE = 4096
# No block begins with it, and it isn't what allocated space reads as.
LOST = b"\xff"
# Each log's folder has it.
_BESIDE = "log.json"


def read_at(descriptor: int, size: int, offset: int) -> bytes:
    """Bytes [offset, offset + size) of a segment, fewer at its end; LOST for those of pages that can't be read.

    Raises OSError if anything but single pages can't be read.
    """
    data, whole = _attempt(descriptor, size, offset)
    if len(data) == size:
        return data
    end = min(offset + size, os.fstat(descriptor).st_size)
    if whole and offset + len(data) >= end:
        return data
    # What stops short of the end stops before such a page, or at one that was cut off meanwhile.
    parts, at, known = [data], offset + len(data), False
    while at < end:
        until = min(at // PAGE * PAGE + PAGE, end)
        page, whole = _attempt(descriptor, until - at, at)
        if not whole:
            if not known and not _reads(descriptor):
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            known = True
            page = LOST * (until - at)
        elif not page:
            break
        parts.append(page)
        at += len(page)
    return b"".join(parts)


def _attempt(descriptor: int, size: int, offset: int) -> tuple[bytes, bool]:
    """What can be read in one go, and whether it is no bad page that it begins with."""
    try:
        return os.pread(descriptor, size, offset), True
    except OSError as error:
        if error.errno != errno.EIO:
            raise
        return b"", False


def _reads(descriptor: int) -> bool:
    """Whether the disk below a segment reads a file beside it, not from memory."""
    beside = Path(f"/proc/self/fd/{descriptor}").readlink().with_name(_BESIDE)
    try:
        other = os.open(beside, os.O_RDONLY)
    except OSError:
        return False
    try:
        os.posix_fadvise(other, 0, 0, os.POSIX_FADV_DONTNEED)
        os.pread(other, PAGE, 0)
    except OSError:
        return False
    finally:
        os.close(other)
    return True
