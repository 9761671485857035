"""Waiting on a condition, never on time alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from .errors import DeadlineError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def wait_for(
    what: str,
    condition: Callable[[], bool],
    *,
    seconds: float,
    every: float = 0.1,
    log: Path | None = None,
    gone: Callable[[], str | None] | None = None,
) -> float:
    """Poll ``condition`` every ``every`` seconds until it is true; return the seconds it took.

    ``gone`` may return a sentence that says why waiting longer is pointless (a process that exited).
    Raises DeadlineError after ``seconds``, or at once with that sentence; both name ``log``.
    """
    start = time.monotonic()
    where = f"; read {log}" if log else ""
    while True:
        if condition():
            return time.monotonic() - start
        if gone and (why := gone()):
            message = f"{what}: {why}{where}"
            raise DeadlineError(message)
        if time.monotonic() - start > seconds:
            message = f"{what}: not so after {seconds:.0f} s{where}"
            raise DeadlineError(message)
        time.sleep(every)
