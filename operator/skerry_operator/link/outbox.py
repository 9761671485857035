"""The newest report on its way up: changes go at once, counters wait for the heartbeat."""

import threading

from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.drift.report import settled


def material(status: SiteAssignmentStatus) -> SiteAssignmentStatus:
    """The part of a report whose change somebody waits for: all but its time and what grows with every request."""
    models = tuple(
        report.model_copy(update={"requests": 0, "evidence": None, "message": "", "drift": settled(report.drift)})
        for report in status.models
    )
    return status.model_copy(update={"reported_at": None, "queue_depth": 0, "models": models})


class Outbox:
    """Holds one report, the newest. Safe to share between threads."""

    def __init__(self) -> None:
        self._newest: SiteAssignmentStatus | None = None
        self._urgent = threading.Event()

    def put(self, status: SiteAssignmentStatus) -> bool:
        """Replace the report; True if it says something new."""
        changed = self._newest is None or material(status) != material(self._newest)
        self._newest = status
        if changed:
            self._urgent.set()
        return changed

    def take(self, timeout: float) -> SiteAssignmentStatus | None:
        """The newest report as soon as it says something new, or after `timeout` seconds; None if there is none."""
        self._urgent.wait(timeout)
        self._urgent.clear()
        return self._newest

    def retry(self) -> None:
        """Say that the report taken last didn't arrive."""
        self._urgent.set()
