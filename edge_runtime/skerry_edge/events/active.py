"""The one segment that is being written: created whole, allocated ahead with zeros, never synced in doubt."""

import os
from collections.abc import Sequence
from pathlib import Path

from skerry_core.durable import fsync_directory
from skerry_edge.events.segment import BLOCKS_AT, Header, encode_header, salt_of, segment_path

# Zeros written behind a block that reaches the end of what is allocated: as much as the segment has, within these.
# A sync then writes data only; an extent that is merely reserved would have to be journalled with each sync.
MIN_ALLOCATION = 64 << 10
MAX_ALLOCATION = 1 << 20
_SHARE_OF_FREE = 16
_ZEROS = memoryview(bytes(MAX_ALLOCATION))


class ActiveSegment:
    """File bytes [0, `end`) are written, [0, `durable`) are known to be on the disk. Used under its log's lock."""

    def __init__(self, base: int, salt: int, descriptor: int, end: int, allocated: int) -> None:
        self.base = base
        self.salt = salt
        self.descriptor = descriptor
        self.end = end
        self.durable = end
        self._allocated = allocated

    @classmethod
    def create(cls, directory: Path, header: Header, blocks: Sequence[bytearray]) -> "ActiveSegment":
        """Make a segment that holds `blocks`, durably; it replaces one of the same name at once and whole.

        Raises OSError; the folder is then as it was, but perhaps for a temporary file.
        """
        path = segment_path(directory, header.base)
        end = write_segment(directory, header, blocks)
        descriptor = os.open(path, os.O_RDWR)
        return cls(header.base, salt_of(header.epoch, header.base), descriptor, end, end)

    @classmethod
    def reopen(cls, directory: Path, base: int, epoch: str, end: int) -> "ActiveSegment":
        """Go on in a segment of which [0, `end`) is durable and the rest of the file zeros. Raises OSError."""
        descriptor = os.open(segment_path(directory, base), os.O_RDWR)
        return cls(base, salt_of(epoch, base), descriptor, end, os.fstat(descriptor).st_size)

    @property
    def empty(self) -> bool:
        """Whether it holds no block."""
        return self.end == BLOCKS_AT

    def write(self, data: bytes | bytearray) -> None:
        """Append blocks, which are then safe from the death of the process. Raises OSError; `end` is then as before."""
        end = self.end + len(data)
        parts: list[bytes | bytearray | memoryview] = [data]
        if end > self._allocated:
            parts.append(_ZEROS[: self._allocation(end)])
        written = os.pwritev(self.descriptor, parts, self.end)
        if written < len(data):
            # A disk with no room for all of it says why when it is asked for the rest.
            view = memoryview(data)[written:]
            while view:
                view = view[os.pwrite(self.descriptor, view, end - len(view)) :]
            written = len(data)
        self._allocated = max(self._allocated, self.end + written)
        self.end = end

    def _allocation(self, end: int) -> int:
        disk = os.fstatvfs(self.descriptor)
        free = disk.f_bavail * disk.f_frsize
        return min(max(end, MIN_ALLOCATION), MAX_ALLOCATION, free // _SHARE_OF_FREE)

    def cut(self) -> None:
        """Give back what lies behind `end`, after a write that failed or for good. Raises OSError."""
        os.ftruncate(self.descriptor, self.end)
        self._allocated = self.end

    def close(self) -> None:
        """Let go of the file."""
        os.close(self.descriptor)


def write_segment(directory: Path, header: Header, blocks: Sequence[bytearray]) -> int:
    """Durably write a whole segment, in place of one of the same name; how long it is. Raises OSError."""
    path = segment_path(directory, header.base)
    temporary = path.with_suffix(".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    try:
        end = 0
        parts: tuple[bytes | bytearray, ...] = (encode_header(header), *blocks)
        for part in parts:
            view = memoryview(part)
            while view:
                written = os.write(descriptor, view)
                view, end = view[written:], end + written
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    fsync_directory(directory)
    return end
