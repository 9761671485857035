"""The SyncPolicy that sync goes by, and telling everybody here of a change."""

import threading
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.inference.site_policy import SitePolicy

PERIOD = timedelta(seconds=2)

Adopt = Callable[[SyncPolicyDocument], None]


class PolicyKeeper:
    """Looks for another policy now and then. The one in force is one that everybody has adopted."""

    def __init__(self, blobs: Path, digest: Callable[[], str | None], last_good: Path) -> None:
        """`digest` is what the assignment in force names."""
        self._site = SitePolicy(blobs, digest, last_good)
        self._adopters: list[Adopt] = []
        self._document = DEFAULT_POLICY
        self._adopted = False
        self._lock = threading.Lock()

    @property
    def document(self) -> SyncPolicyDocument:
        """The policy in force; the default one before the first step."""
        return self._document

    def tell(self, adopt: Adopt) -> None:
        """Have someone told of the policy, now the one in force, and of each that follows."""
        adopt(self._document)
        self._adopters.append(adopt)

    def step(self) -> timedelta:
        """Look once; the pause until the next look. Raises what adopters raise; then it is tried again."""
        with self._lock:
            found = self._site.current()
            if found is not self._document or not self._adopted:
                self._adopted = False
                for adopt in self._adopters:
                    adopt(found)
                self._document, self._adopted = found, True
        return PERIOD
