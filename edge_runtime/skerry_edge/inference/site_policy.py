"""The SyncPolicy in force here: what the verified assignment names, else the last good one, else the default."""

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from skerry_api.v1alpha1.syncpolicy import PREDICTIONS
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_core.sync_policy.load import InForce, Origin, load

_log = structlog.get_logger(__name__)


class SitePolicy:
    """Looks again whenever it is asked, at little cost: a policy that is in force is read once. Safe for threads."""

    def __init__(self, blobs: Path, digest: Callable[[], str | None], last_good: Path) -> None:
        """`blobs` is the store's folder of blobs, `digest` what the assignment in force names."""
        self._blobs = blobs
        self._digest = digest
        self._last_good = last_good
        self._found: InForce | None = None
        self._payloads: float | None = None
        self._lock = threading.Lock()

    def current(self) -> SyncPolicyDocument:
        """The policy; the same object as long as nothing has changed."""
        with self._lock:
            return self._look()

    def payloads(self) -> float | None:
        """Share of predictions recorded with inputs and outputs, of the policy that `current` last gave.

        Costs nothing: it is asked for each request.
        """
        return self._payloads

    def _look(self) -> SyncPolicyDocument:
        digest, before = self._digest(), self._found
        if before is not None and before.origin is Origin.ASSIGNED and before.digest == digest and not before.trouble:
            return before.document
        found = load(self._blobs, digest, self._last_good)
        if before is not None and found.document == before.document:
            found = InForce(before.document, found.origin, found.digest, None, found.trouble)
        if before is None or (found.digest, found.trouble) != (before.digest, before.trouble):
            _log.info("sync policy in force", origin=found.origin, digest=found.digest, trouble=found.trouble)
        self._found = found
        predictions = found.document.stream(PREDICTIONS)
        self._payloads = None if predictions is None else predictions.payloads
        return found.document
