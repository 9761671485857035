"""Hybrid logical time: close to the wall clock, never backwards, and later than everything that came before it.

After Kulkarni, Demirbas, Madappa, Avva and Leone, "Logical Physical Clocks" (OPODIS 2014). A time is one unsigned
64-bit number: 48 bits of milliseconds since 1970 above 16 bits that count within one millisecond. A count that
overflows runs into the milliseconds, which keeps the order and is what the paper's bound on the logical part is for.
"""

import threading
import time
from collections.abc import Callable

LOGICAL_BITS = 16


def tick(last: int, milliseconds: int) -> int:
    """The hybrid time of an event after everything up to `last`, at a wall clock's reading."""
    return max(milliseconds << LOGICAL_BITS, last + 1)


def milliseconds_of(hlc: int) -> int:
    """The physical part: milliseconds since 1970 UTC by the clock of whoever gave the time out."""
    return hlc >> LOGICAL_BITS


def wall_milliseconds() -> int:
    """The node's wall clock."""
    return time.time_ns() // 1_000_000


class HybridClock:
    """One a process: it orders what happens in all of its logs. Threads share it."""

    def __init__(self, now: Callable[[], int] = wall_milliseconds) -> None:
        """`now` gives milliseconds since 1970; it may jump."""
        self._now = now
        self._last = 0
        self._lock = threading.Lock()

    @property
    def last(self) -> int:
        """The latest time given out or observed."""
        return self._last

    def take(self, count: int = 1) -> int:
        """Give out `count` successive times, and return the first."""
        milliseconds = self._now()
        with self._lock:
            first = tick(self._last, milliseconds)
            self._last = first + count - 1
        return first

    def observe(self, hlc: int) -> None:
        """Whatever comes next is later than `hlc`, which a log or a message told."""
        with self._lock:
            self._last = max(self._last, hlc)
