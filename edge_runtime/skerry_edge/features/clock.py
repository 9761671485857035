"""How long ago an entity was heard of, by clocks that jump. Pure, but for reading the clocks.

The rule. Windows and ages of an entity are computed for the moment `received + elapsed`: `received` is when the node's
clock received its newest event, and `elapsed` is how long ago that was by the boot's uptime, which no correction
changes and which counts while the machine sleeps. So within a boot a jump of the wall clock neither makes a stale value
fresh nor a fresh one stale, and values are judged by the clock that stamped their events.

- An event that came while its log was followed can't be older than the last look at the log's end; what the wall clock
  says of its delay counts only within that.
- An event that was received before (the log is read again, or the process was down) is as old as the wall clock says.
- Where the wall clock says that such an event is yet to come, it was set back, or the node booted with a clock that is
  behind: nobody knows how old the event is. It counts as too old for any ttl, until another event comes or the clock
  is past it. Stale but told so is better than fresh and wrong.
- What was received in another boot is as old as the wall clock says now, asked again at each read; so a clock that is
  set right only an hour after the boot makes such values as old as they are. A wall clock that went back in this boot
  is carried on by uptime, so it makes nothing younger.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

UNKNOWN = 1 << 61
"""Elapsed µs of what nobody knows the age of: longer than any ttl."""
# Time servers set clocks back by less than this all the time.
_CORRECTION_MS = 1000


@dataclass(frozen=True, slots=True)
class Moments:
    """Both clocks at one moment: `wall` in µs since 1970 that never goes back within a boot, `uptime` in ms."""

    wall: int
    uptime: int


def anchor_of(received: int, now: Moments, followed: int | None) -> int | None:
    """The uptime (ms, may be negative) at which a record was received; None if nobody knows.

    `followed` is the uptime at which the log was last seen to end before this record; None if it never was.
    """
    delay = (now.wall - received) // 1000
    if followed is not None:
        return max(followed, now.uptime - max(delay, 0))
    return now.uptime - max(delay, 0) if delay >= -_CORRECTION_MS else None


def moment(received: int, anchor: int | None, *, same_boot: bool, now: Moments) -> int:
    """The time (µs) for which an entity is read; received, anchor and boot are those of its newest event."""
    if not same_boot:
        behind = now.wall < received - _CORRECTION_MS * 1000
        return received + UNKNOWN if behind else max(now.wall, received)
    if anchor is None:
        return now.wall if now.wall > received else received + UNKNOWN
    return received + max(now.uptime - anchor, 0) * 1000


class Clock:
    """Reads both clocks; the wall clock is carried on by uptime where it goes back. Threads share it."""

    def __init__(
        self,
        wall: Callable[[], int] = lambda: time.time_ns() // 1000,
        uptime: Callable[[], int] = lambda: time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000,
    ) -> None:
        """`wall` gives µs since 1970, `uptime` ms since the boot, sleep included."""
        self._wall = wall
        self._uptime = uptime
        self._last = Moments(wall(), uptime())
        self._lock = threading.Lock()

    def read(self) -> Moments:
        """Both clocks now."""
        with self._lock:
            uptime = self._uptime()
            carried = self._last.wall + (uptime - self._last.uptime) * 1000
            # Slower by what an adjusted rate or the rounding makes is no jump.
            wall = self._wall()
            if wall < carried - _CORRECTION_MS * 1000:
                wall = carried
            self._last = Moments(max(wall, self._last.wall), uptime)
            return self._last

    def uptime(self) -> int:
        """The uptime alone, which costs less."""
        return self._uptime()
