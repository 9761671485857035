"""When a closed segment is old enough to go. Pure.

A node's clock can be years off, and corrected at any moment, so it is believed as little as possible: within one boot
the time that the machine has run decides, which no correction changes. Across boots only the wall clock can tell; then
nothing goes in a boot's first hour, which a wrong clock has to be set right, and a segment that was closed when the
clock showed a time before this code was written counts from this boot's start.
"""

from dataclasses import dataclass
from pathlib import Path

MINUTE_MS = 60_000
SETTLING_MS = 60 * MINUTE_MS
# 2026-01-01T00:00:00Z in microseconds.
PLAUSIBLE_US = 1_767_225_600_000_000

_UPTIME = Path("/proc/uptime")


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as a node knows it: by its wall clock (µs since 1970), and in ms since a boot (named by a hash)."""

    wall: int
    uptime: int
    boot: int


def uptime_ms() -> int:
    """How long the machine has run, sleep included."""
    return int(float(_UPTIME.read_text(encoding="ascii").split()[0]) * 1000)


def old_enough(closed: Moment, now: Moment, max_age_ms: int) -> bool:
    """Tell whether a segment that was closed at one moment is past its age at another."""
    if closed.boot == now.boot:
        return now.uptime - closed.uptime >= max_age_ms
    if closed.wall < PLAUSIBLE_US:
        return now.uptime >= max_age_ms
    return now.uptime >= min(max_age_ms, SETTLING_MS) and now.wall - closed.wall >= max_age_ms * 1000
