"""The node's copy of its assignment: read from disk first, replaced only by a newer one that verifies."""

import json
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path

import structlog
from pydantic import BaseModel, ValidationError

from skerry_api.v1alpha1.fields import Digest
from skerry_core.assignment.document import AssignmentDocument
from skerry_core.durable import write_file
from skerry_core.errors import RetryError, UserMustActError
from skerry_core.trust.assignment import open_assignment
from skerry_core.trust.errors import TrustError

# Kept of one model when more are found, which are at most as many: a ModelReport tells no more.
MAX_RESTRICTIONS = 64

_log = structlog.get_logger()


class _Stored(BaseModel):
    envelope: str


class Restrictions(BaseModel):
    """Digests that may not run on this site, by `namespace/model`, each list oldest first."""

    quarantined: dict[str, tuple[Digest, ...]] = {}

    def joined(self, found: Mapping[str, Iterable[str]]) -> "Restrictions":
        """The newest MAX_RESTRICTIONS of each model, and the found ones."""
        merged = dict(self.quarantined)
        for model, digests in found.items():
            merged[model] = tuple(dict.fromkeys((*merged.get(model, ())[-MAX_RESTRICTIONS:], *digests)))
        return Restrictions(quarantined={model: digests for model, digests in merged.items() if digests})

    def named_by(self, document: AssignmentDocument) -> "Restrictions":
        """Those on a release that the assignment names, as target or as approved."""
        kept = {}
        for model in document.models:
            name = f"{model.namespace}/{model.name}"
            named = {release.digest for release in (model.target, model.approved) if release is not None}
            kept[name] = tuple(digest for digest in self.quarantined.get(name, ()) if digest in named)
        return Restrictions(quarantined={name: digests for name, digests in kept.items() if digests})

    def digests(self) -> frozenset[str]:
        """All of them."""
        return frozenset(digest for digests in self.quarantined.values() for digest in digests)


class AssignmentKeeper:
    """Keeps `assignment.json` and `restrictions.json`. Safe to use from several threads."""

    def __init__(self, assignment: Path, restrictions: Path, hub_key: Path, site: str) -> None:
        self._assignment = assignment
        self._restrictions = restrictions
        self._hub_key = hub_key
        self._site = site
        self._lock = threading.Lock()
        self._envelope = ""
        self._document: AssignmentDocument | None = None
        self._refusal: UserMustActError | None = None
        self._restricted = Restrictions()

    @property
    def document(self) -> AssignmentDocument | None:
        """The assignment in force; None before the first."""
        return self._document

    @property
    def refusal(self) -> UserMustActError | None:
        """Why the newest envelope that was offered is not in force; None if it is."""
        return self._refusal

    @property
    def quarantined(self) -> frozenset[str]:
        """Digests that the site's verdict bars here."""
        return self._restricted.digests()

    def read(self) -> None:
        """Take up what the disk holds; a file that doesn't verify stays there and is told by `refusal`."""
        with self._lock:
            try:
                self._restricted = Restrictions.model_validate_json(self._restrictions.read_bytes())
            except FileNotFoundError:
                pass
            except ValidationError as error:
                _log.warning("restrictions can't be read", reason="RestrictionsMalformed", message=str(error))
            try:
                stored = _Stored.model_validate_json(self._assignment.read_bytes())
                self._document = open_assignment(stored.envelope, self._key(), site=self._site, last=None)
                self._envelope = stored.envelope
            except FileNotFoundError:
                return
            except ValidationError as error:
                self._refusal = UserMustActError("EnvelopeInvalid", f"the assignment on disk is malformed: {error}")
            except TrustError as error:
                self._refusal = error

    def offer(self, envelope: str) -> bool:
        """Consider an envelope from the mirror; true if it is now in force, and on disk.

        An equal serial changes nothing. A refused envelope leaves the one in force and is told by `refusal`.
        """
        with self._lock:
            if envelope == self._envelope:
                self._refusal = None
                return False
            last = None if self._document is None else self._document.serial
            try:
                document = open_assignment(envelope, self._key(), site=self._site, last=last)
            except TrustError as error:
                if self._refusal is None or self._refusal.reason != error.reason:
                    _log.warning("assignment refused", reason=error.reason, message=str(error))
                self._refusal = error
                return False
            self._refusal = None
            if last is not None and document.serial.key() == last.key():
                return False
            write_file(self._assignment, json.dumps({"envelope": envelope}).encode())
            self._envelope = envelope
            self._document = document
            _log.info("assignment accepted", incarnation=document.serial.incarnation, n=document.serial.n)
            return True

    def restrict(self, found: Mapping[str, Iterable[str]]) -> bool:
        """Take up the site's quarantined digests, by `namespace/model`; true if that changed anything, now on disk.

        What the assignment in force names stays restricted, whatever the mirror says now: lifting that takes a newer
        assignment. Any other digest is restricted for as long as the mirror says so.
        """
        with self._lock:
            held = self._restricted
            if self._document is not None:
                held = held.named_by(self._document)
            joined = held.joined(found)
            if joined == self._restricted:
                return False
            write_file(self._restrictions, joined.model_dump_json().encode())
            self._restricted = joined
            _log.info("restrictions changed", digests=len(joined.digests()))
            return True

    def _key(self) -> bytes:
        try:
            return self._hub_key.read_bytes()
        except OSError as error:
            raise RetryError("HubKeyMissing", f"the hub's public key can't be read: {error}") from error
