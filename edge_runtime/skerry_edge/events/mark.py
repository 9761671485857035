"""The durable mark: up to where the newest segment is known to be on the disk.

Written after each successful fsync, and itself fsynced only once, when its log is opened: readers believe it while the
machine runs, so that nothing leaves the node that a power cut could still take back (its number would be skipped, and
a producer that was never answered would send it again). After a reboot it may be old, or gone; then it hides a little
until the log is opened. Recovery tells by it a torn tail (above: nobody was told) from damage (below).

u64 base of the segment, u64 offset in it, u64 next number, u32 crc of these and of the log's epoch; little-endian.
"""

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from skerry_core.durable import write_file

_MARK = struct.Struct("<QQQ")
_SIZE = _MARK.size + 4
_NAME = "durable"


@dataclass(frozen=True, slots=True)
class Mark:
    """Bytes [0, end) of segment `base` are durable, and so are all numbers below `next_seq`."""

    base: int
    end: int
    next_seq: int


def read_mark(directory: Path, epoch: str) -> Mark | None:
    """The mark as it is now; None if there is none, or none of this epoch, or it is just being written."""
    try:
        with (directory / _NAME).open("rb", buffering=0) as file:
            data = file.read(_SIZE + 1)
    except OSError:
        return None
    if len(data) != _SIZE or _checksum(data[: _MARK.size], _seed(epoch)) != data[_MARK.size :]:
        return None
    return Mark(*_MARK.unpack_from(data))


class MarkFile:
    """The writer's side; one a log. A mark that can't be written only delays readers, so errors are passed over."""

    def __init__(self, directory: Path, epoch: str) -> None:
        self._path = directory / _NAME
        self._seed = _seed(epoch)
        self._descriptor: int | None = None

    def write(self, base: int, end: int, next_seq: int) -> None:
        """Replace the mark by Mark(base, end, next_seq)."""
        data = _MARK.pack(base, end, next_seq)
        try:
            if self._descriptor is None:
                self._descriptor = self._create(data)
            os.pwrite(self._descriptor, data + _checksum(data, self._seed), 0)
        except OSError:
            return

    def _create(self, data: bytes) -> int:
        """Open the file, whole and durable, so that a reboot finds some mark."""
        write_file(self._path, data + _checksum(data, self._seed))
        return os.open(self._path, os.O_WRONLY)

    def close(self) -> None:
        """Let go of the file."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def _seed(epoch: str) -> int:
    return zlib.crc32(epoch.encode())


def _checksum(data: bytes, seed: int) -> bytes:
    return zlib.crc32(data, seed).to_bytes(4, "little")
