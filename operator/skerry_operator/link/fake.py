"""An in-memory hub end, for tests and for simulations of many sites."""

import threading
from collections import Counter
from collections.abc import Iterator

from skerry_api.v1alpha1.siteassignment import SiteAssignmentSpec, SiteAssignmentStatus
from skerry_core.errors import SkerryError, WaitError
from skerry_operator.link.port import Downlink


class InMemoryLink:
    """Holds one site's assignment, grant and reports; `fail_with` makes every call raise, as a cut link would."""

    def __init__(self, watch_seconds: float = 1.0) -> None:
        self.reports: list[SiteAssignmentStatus] = []
        self.fail_with: SkerryError | None = None
        self._assignment: SiteAssignmentSpec | None = None
        self._grant: bytes | None = None
        self._edges: Counter[Downlink] = Counter()
        self._changed = threading.Condition()
        self._watch_seconds = watch_seconds

    def offer(self, assignment: SiteAssignmentSpec | None) -> None:
        """Put an assignment at the hub, or take it away."""
        with self._changed:
            self._assignment = assignment
            self._edges[Downlink.ASSIGNMENT] += 1
            self._changed.notify_all()

    def grant(self, content: bytes | None) -> None:
        """Put a store grant at the hub, or take it away."""
        with self._changed:
            self._grant = content
            self._edges[Downlink.GRANT] += 1
            self._changed.notify_all()

    def latest(self) -> SiteAssignmentSpec | None:
        self._reach()
        return self._assignment

    def upload_grant(self) -> bytes | None:
        self._reach()
        return self._grant

    def watch(self, what: Downlink) -> Iterator[None]:
        self._reach()
        with self._changed:
            seen = self._edges[what]
            there = (self._assignment if what is Downlink.ASSIGNMENT else self._grant) is not None
        if there:
            yield
        while (newer := self._edge_after(what, seen)) is not None:
            seen = newer
            self._reach()
            yield

    def _edge_after(self, what: Downlink, seen: int) -> int | None:
        with self._changed:
            happened = self._changed.wait_for(lambda: self._edges[what] != seen, self._watch_seconds)
            return self._edges[what] if happened else None

    def report(self, status: SiteAssignmentStatus) -> None:
        self._reach()
        if self._assignment is None:
            raise WaitError("NotAssigned", "the hub has no SiteAssignment for this site yet; nothing to do here")
        self.reports.append(status)

    def _reach(self) -> None:
        if self.fail_with is not None:
            raise self.fail_with
