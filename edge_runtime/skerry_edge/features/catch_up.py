"""Requests that wait until what is durable in a log counts in a version. The thread that applies it is never theirs.

A version that doesn't get there in time keeps nobody else waiting until it is where it was to be by then: what is far
behind, or goes no further, must not hold every request's thread for as long as that lasts.
"""

import threading
from collections.abc import Callable

from skerry_edge.events.follow import Place

CATCH_UP_SECONDS = 0.2
"""The longest that a request waits for one version."""


class CatchUp:
    """Any thread may `wait`; the one that applies calls `moved`."""

    def __init__(self, wake: Callable[[], None], seconds: float = CATCH_UP_SECONDS) -> None:
        """`wake` ends the pause of the thread that applies."""
        self._wake = wake
        self._seconds = seconds
        self._moved = threading.Condition()
        # By version, the place that it hadn't reached when a wait was over.
        self._missed: dict[str, Place] = {}

    def wait(self, digest: str, end: Place, reached: Callable[[Place], bool]) -> None:
        """Return once `reached(end)`, or `seconds` after the first of those that wait for this version began.

        `reached` tells quickly whether a place has been applied, or never will be.
        """
        with self._moved:
            missed = self._missed.get(digest)
            if missed is not None and not reached(missed):
                return
            self._missed.pop(digest, None)
            self._wake()
            if not self._moved.wait_for(lambda: digest in self._missed or reached(end), self._seconds):
                self._missed[digest] = end
                self._moved.notify_all()

    def moved(self) -> None:
        """Let all that wait look whether they are there."""
        with self._moved:
            self._moved.notify_all()
