"""How old records are, when a clock may be wrong, or have been wrong when they came in. Pure.

Too old means gone, so a wrong clock must not make it so. What came in at a doubtful time has no age but what the
records behind it prove; and a clock that leaps ahead is believed only once it has stood there for an hour, in which a
clock that is wrong has to be set right (the log's own expiry waits as long).
"""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.flags import Flags
from skerry_edge.events.expiry import SETTLING_MS
from skerry_edge.events.record import Microseconds

_SECOND = 1_000_000
SETTLING = SETTLING_MS * 1000
# Faster than this against the time that the machine has run, a clock leaps.
TOLERANCE = 60 * _SECOND


@dataclass(frozen=True)
class Belief:
    """What time it is at least: `now`, in µs since 1970, when the machine had run for `uptime` µs.

    `leapt`: the uptime at which the clock was first found too far ahead of that; None if it wasn't.
    """

    now: int
    uptime: int
    leapt: int | None = None


def believe(last: Belief | None, wall: int, uptime: int) -> Belief:
    """What to believe of the wall clock. A clock set back is followed at once: that makes nothing older.

    The first belief in a boot's first hour is in no clock: then nothing is older than the boot.
    """
    if last is None:
        return Belief(wall if uptime >= SETTLING else 0, uptime, None if uptime >= SETTLING else 0)
    expected = last.now + uptime - last.uptime
    if wall <= expected + TOLERANCE:
        return Belief(wall, uptime)
    leapt = uptime if last.leapt is None else last.leapt
    return Belief(wall, uptime) if uptime - leapt >= SETTLING else Belief(expected, uptime, leapt)


def expired(received: Microseconds, flags: NDArray[np.uint16], limit: timedelta, now: int) -> NDArray[np.bool_]:
    """Which of successive records are certainly older than `limit` at `now` (µs since 1970).

    Of a record whose `received` can't be right (flagged CLOCK_SUSPECT, or later than now) only this is certain: it came
    in before the next one that can be. One with none behind it has no known age yet, and is not expired.
    """
    doubtful = ((flags & Flags.CLOCK_SUSPECT) != 0) | (received > now)
    if doubtful.any():
        latest = np.where(doubtful, now, received)
        behind = np.minimum.accumulate(latest[::-1])[::-1]
        received = np.where(doubtful, behind, received)
    return np.asarray(received < now - limit // timedelta(microseconds=1))
