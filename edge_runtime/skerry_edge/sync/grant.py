"""The store grant in force: read from disk first, replaced whenever the site gets another."""

import threading
from pathlib import Path

import structlog
from pydantic import ValidationError

from skerry_core.durable import write_file
from skerry_core.errors import WaitError
from skerry_core.store.grant import StoreGrant
from skerry_core.store.granted import GrantedStore
from skerry_core.store.http import GuardedPool
from skerry_core.store.metered import Meter

_log = structlog.get_logger()


class GrantKeeper:
    """Keeps `grant.json` and opens the store by it. Safe to use from several threads."""

    def __init__(self, path: Path, site: str, meter: Meter | None = None) -> None:
        """`meter` is told of every byte to and from the store."""
        self._path = path
        self._site = site
        self._lock = threading.Lock()
        self._grant: StoreGrant | None = None
        self._pool = GuardedPool(meter=meter)

    def read(self) -> None:
        """Take up what the disk holds, if it is a grant."""
        with self._lock:
            try:
                self._grant = StoreGrant.model_validate_json(self._path.read_bytes())
            except FileNotFoundError:
                return
            except ValidationError:
                _log.warning("grant on disk can't be read", reason="GrantMalformed")

    def offer(self, data: bytes) -> bool:
        """Take up a grant; true if it is another one. Raises WaitError.

        When it ends counts for nothing: the hub decides, and may have reason to shorten what it gave.
        """
        try:
            grant = StoreGrant.model_validate_json(data)
        except ValidationError as error:
            # Pydantic's message would quote the input, and the input is a credential.
            message = f"the store grant has {error.error_count()} errors: is the hub newer than this node?"
            raise WaitError("GrantMalformed", message) from None
        if grant.site != self._site:
            raise WaitError("GrantMalformed", f"the store grant is for site {grant.site}, this is {self._site}")
        with self._lock:
            if grant == self._grant:
                return False
            write_file(self._path, data, mode=0o600)
            self._grant = grant
            _log.info("grant accepted", blobs=len(grant.blobs), expires_at=grant.expires_at.isoformat())
            return True

    def store(self) -> GrantedStore:
        """The store by the grant in force; WaitError GrantMissing before the first."""
        grant = self._grant
        if grant is None:
            raise WaitError("GrantMissing", "no store grant has come yet: it comes with the site's link to the hub")
        return GrantedStore(grant, self._pool)
