"""File systems of one's own, in a file: small ones, and ones whose power can be cut."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from pathlib import Path

# FS_IOC_SHUTDOWN with FSOP_GOING_FLAGS_NOLOGFLUSH (linux/fs.h): nothing that isn't on the disk yet gets there.
_SHUTDOWN, _NO_FLUSH = 0x8004587D, 2


class Disk:
    """An ext4 of some bytes, mounted at `path` from the start to the end of a `with`."""

    def __init__(self, folder: Path, size: int):
        self.path = folder / "disk"
        self._image = folder / "disk.img"
        self.path.mkdir()
        with self._image.open("wb") as file:
            file.truncate(size)
        _run("mkfs.ext4", "-q", "-F", str(self._image))

    def __enter__(self) -> Self:
        # One loop device from start to end. Mounted with `-o loop`, the device of the mount before may be taken again
        # while the kernel is still letting go of it, and then reads fail.
        self._device = _run("losetup", "--find", "--show", str(self._image)).strip()
        self.mount()
        return self

    def __exit__(self, *_: object) -> None:
        self.unmount()
        _run("losetup", "--detach", self._device)

    def mount(self) -> None:
        _run("mount", self._device, str(self.path))

    def unmount(self) -> None:
        _run("umount", str(self.path))

    def cut_power(self) -> None:
        """From now on nothing reaches the disk, and every call fails, until it is mounted again."""
        descriptor = os.open(self.path, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_FLUSH))
        finally:
            os.close(descriptor)


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60).stdout
