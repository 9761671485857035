"""Time that an adjusted clock can't bend: edge nodes boot in 1970 and are corrected in the middle of a canary."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def steady_clock() -> Callable[[], datetime]:
    """A clock that starts at the wall clock's time, in UTC, and then only counts."""
    began, counted = datetime.now(UTC), time.monotonic()
    return lambda: began + timedelta(seconds=time.monotonic() - counted)
