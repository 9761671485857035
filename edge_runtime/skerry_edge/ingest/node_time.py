"""Time of the node against time of its devices: neither is trusted silently."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from skerry_core.batch.flags import Flags
from skerry_edge.ingest.limits import TIME_AHEAD, TIME_BEHIND

_MICROSECONDS = 1_000_000
# No node runs this code earlier than it was written.
CODE_WRITTEN = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp()) * _MICROSECONDS
# Time servers set clocks back by less than this all the time.
_CORRECTION = _MICROSECONDS
_AHEAD = int(TIME_AHEAD.total_seconds()) * _MICROSECONDS
_BEHIND = int(TIME_BEHIND.total_seconds()) * _MICROSECONDS


@dataclass(frozen=True, slots=True)
class Reading:
    """The node's clock, in microseconds since 1970 UTC; `suspect` if it is before a time that has passed."""

    received: int
    suspect: bool


class NodeTime:
    """The node's clock and its floor: the latest of when the code was written and what the logs have seen."""

    def __init__(self, clock: Callable[[], int], floor: int = CODE_WRITTEN) -> None:
        """`clock` gives microseconds since 1970 UTC."""
        self._clock = clock
        self._floor = floor
        self._lock = threading.Lock()

    def read(self) -> Reading:
        """Read the clock, and let it raise the floor."""
        received = self._clock()
        with self._lock:
            suspect = received < self._floor - _CORRECTION
            self._floor = max(self._floor, received)
        return Reading(received, suspect)

    def seen(self, received: int) -> None:
        """A log has a record of this time."""
        with self._lock:
            self._floor = max(self._floor, received)


def stamp(said: int | None, reading: Reading) -> tuple[int, Flags]:
    """The event time to store, and what is to be known of it; what a producer said is kept as it said it."""
    flags = Flags.CLOCK_SUSPECT if reading.suspect else Flags.NONE
    if said is None:
        return reading.received, flags | Flags.TIME_MISSING
    if not reading.received - _BEHIND <= said <= reading.received + _AHEAD:
        flags |= Flags.TIME_SKEWED
    return said, flags
