"""When a window is open: cron firings in a time zone, each opening it for a while. Pure.

A firing in an hour that the clocks skip comes right after it, and one in an hour that they repeat comes once, as in
Debian's cron (cronsim follows it).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from skerry_core.sync_policy.document import Window

# Local times repeat by at most this much, so a search in local time starts as far off and skips what is too far.
_FOLD = timedelta(hours=2)
# With no firing in this time, which takes a schedule such as 29 February, one looks again.
_FAR = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Opening:
    """Whether it is open, and until when that holds; UTC."""

    open: bool
    until: datetime


class Calendar:
    """Remembers what holds until when, since a firing takes longer to find than everything else that is decided."""

    def __init__(self) -> None:
        self._known: dict[Window, tuple[datetime, Opening]] = {}

    def opening(self, windows: Iterable[Window], now: datetime) -> Opening:
        """State of several windows together: open while any is; always, if there are none."""
        states = [self._one(window, now) for window in windows]
        if not states:
            return Opening(open=True, until=now + _FAR)
        if any(state.open for state in states):
            return Opening(open=True, until=max(state.until for state in states if state.open))
        return Opening(open=False, until=min(state.until for state in states))

    def _one(self, window: Window, now: datetime) -> Opening:
        known = self._known.get(window)
        if known is not None and known[0] <= now < known[1].until:
            return known[1]
        found = state_of(window, now)
        self._known[window] = (now, found)
        return found


def state_of(window: Window, now: datetime) -> Opening:
    """State of one window. One that can't be evaluated here (an unknown zone, say) is closed."""
    try:
        last, following = _firings(window, now)
    except (CronSimError, ValueError, OSError, LookupError):
        return Opening(open=False, until=now + _FAR)
    if last is not None and now < last + window.duration:
        return Opening(open=True, until=last + window.duration)
    return Opening(open=False, until=following)


def _firings(window: Window, now: datetime) -> tuple[datetime | None, datetime]:
    """The last firing up to `now`, if one is near enough to matter, and the first one after."""
    zone = ZoneInfo(window.time_zone)
    last = None
    oldest = now - window.duration - _FOLD
    for firing in CronSim(window.schedule, (now + _FOLD).astimezone(zone), reverse=True):
        at = firing.astimezone(UTC)
        if at <= now:
            last = at
            break
        if at < oldest:
            break
    for firing in CronSim(window.schedule, (now - _FOLD).astimezone(zone)):
        at = firing.astimezone(UTC)
        if at > now:
            return last, min(at, now + _FAR)
    return last, now + _FAR
