"""Whether a stream may take more: its own limit, and what the disk has left for its tier."""

import os
import time
from pathlib import Path

from skerry_edge.events.admission import admits, floor_bytes
from skerry_edge.events.settings import LogFullError, StreamSettings

# How long a look at the free space holds good, and for what share of it: other streams write too.
_LOOK_SECONDS = 0.05
_LOOK_SHARE = 8


class Room:
    """Knows the bytes of a log's closed segments. Called under its log's lock."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._closed = 0
        self._open_base: int | None = None
        self._good_until = 0.0
        self._allowance = 0

    def size(self, open_base: int | None, open_bytes: int) -> int:
        """Bytes of all segments as of now; of the one being written those that are used. Raises OSError."""
        self._closed, self._open_base = 0, open_base
        open_name = "" if open_base is None else f"{open_base:020d}.seg"
        with os.scandir(self._directory) as entries:
            for entry in entries:
                if entry.name.endswith(".seg") and entry.name != open_name:
                    try:
                        self._closed += entry.stat().st_size
                    except FileNotFoundError:
                        continue
        return self._closed + open_bytes

    def check(self, settings: StreamSettings, size: int, open_base: int | None, open_bytes: int) -> None:
        """Raise LogFullError if the stream may not take `size` bytes more. Raises OSError."""
        near = self._closed + open_bytes + size > settings.max_bytes
        rolled = open_base != self._open_base
        self._allowance -= size
        if not near and not rolled and self._allowance > 0 and time.monotonic() < self._good_until:
            return
        held = self.size(open_base, open_bytes)
        if held + size > settings.max_bytes:
            raise LogFullError(f"stream {settings.name} holds {held} bytes, its limit is {settings.max_bytes}")
        usage = os.statvfs(self._directory)
        free, capacity = usage.f_bavail * usage.f_frsize, usage.f_blocks * usage.f_frsize
        left = floor_bytes(settings.tier, capacity)
        if not admits(settings.tier, free, capacity):
            raise LogFullError(f"the disk has {free} bytes free, and streams of tier {settings.tier} must leave {left}")
        self._allowance = (free - left) // _LOOK_SHARE
        self._good_until = time.monotonic() + _LOOK_SECONDS
