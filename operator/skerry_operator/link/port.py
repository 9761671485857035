"""The link's port: what a site needs of its hub, whichever way it is reached."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Protocol

from skerry_api.v1alpha1.siteassignment import SiteAssignmentSpec, SiteAssignmentStatus


class Downlink(StrEnum):
    """The two things that come down."""

    ASSIGNMENT = "assignment"
    GRANT = "grant"


class Link(Protocol):
    """One site's connection to its hub; every adapter passes the suite in `tests/unit/link/conformance.py`.

    All methods block, bounded by the adapter's time-outs, and raise only `skerry_core.errors`: UserMustActError when
    the hub refuses this site, WaitError when something outside must change first, RetryError when it can't be reached.
    """

    def latest(self) -> SiteAssignmentSpec | None:
        """The assignment that the hub holds now; None if there is none, which changes nothing at the site."""
        ...

    def upload_grant(self) -> bytes | None:
        """The store grant (JSON of `skerry_core.store.grant.StoreGrant`) that the hub holds now; None if none."""
        ...

    def watch(self, what: Downlink) -> Iterator[None]:
        """Yield whenever `what` may have changed, once at the start if it is there; end when it is time to reconnect.

        Edges carry no content on purpose: the caller reads the newest state after each.
        """
        ...

    def report(self, status: SiteAssignmentStatus) -> None:
        """Replace the site's report at the hub; a hub without the assignment makes it a WaitError."""
        ...
