"""Seconds on an axis that only moves forward, over restarts of the process and whatever the clock is set to.

Budgets are counted on it. Within one boot the time that the machine has run decides; over a boot only the wall clock
can tell how long it was off, and it is believed upwards alone, and never by more than a day: what was used before a
power cut counts too long rather than too short.
"""

from collections.abc import Callable, Mapping
from typing import Any

_DAY = 24 * 3600.0


class Steady:
    """The axis. `uptime` gives seconds since the boot named `boot_id`, `wall` seconds since 1970."""

    def __init__(
        self, boot_id: str, uptime: Callable[[], float], wall: Callable[[], float], noted: Mapping[str, Any] | None
    ) -> None:
        """Go on behind what `note` gave the last process; None or anything else begins at 0."""
        self._boot_id = boot_id
        self._uptime = uptime
        self._wall = wall
        self._offset = -uptime()
        if noted is not None:
            try:
                self._offset += self._resumed(noted, uptime())
            except (KeyError, TypeError, ValueError):
                return

    def now(self) -> float:
        """Seconds."""
        return self._uptime() + self._offset

    def note(self) -> dict[str, Any]:
        """What the next process needs."""
        return {"at": self.now(), "bootId": self._boot_id, "uptime": self._uptime(), "wall": self._wall()}

    def _resumed(self, noted: Mapping[str, Any], now: float) -> float:
        at = float(noted["at"])
        if noted["bootId"] == self._boot_id:
            return at + max(now - float(noted["uptime"]), 0.0)
        return at + min(max(self._wall() - float(noted["wall"]), now), max(_DAY, now))
