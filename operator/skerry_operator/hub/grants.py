"""Store grants: which blobs a site needs, and when its grant has to be made anew."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import attrgetter

from skerry_api.kinds import GRANT_KEY, GRANT_SECRET
from skerry_core.assignment.document import AssignmentDocument, ReleaseRef
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, Manifest
from skerry_core.store.blobs import read_blob
from skerry_core.store.errors import DigestMismatchError, ObjectMissingError
from skerry_core.store.grant import S3GrantIssuer, renew_at
from skerry_core.store.port import Store
from skerry_operator.hub.site_namespace import namespace_of
from skerry_operator.kube.api import JsonObject, KubeApi
from skerry_operator.kube.resources import SECRETS

_LOOK_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Issued:
    digests: frozenset[str]
    key: str
    renew_at: datetime


class GrantKeeper:
    """Keeps every site's grant young, complete, and signed with the key in use.

    It remembers what it issued; after a restart it issues anew.
    """

    def __init__(
        self, kube: KubeApi, store: Store, issuer: S3GrantIssuer, check_store: Callable[[datetime], None]
    ) -> None:
        """`check_store` is asked once, before the first grant; it raises if the store would not keep sites apart."""
        self._kube = kube
        self._store = store
        self._issuer = issuer
        self._check_store = check_store
        self._checked = False
        self._issued: dict[str, _Issued] = {}
        self._looked: dict[str, datetime] = {}
        self._files: dict[str, frozenset[str]] = {}

    def keep(self, site: str, document: AssignmentDocument, now: datetime) -> float:
        """Issue a grant if the one that the site has is short of time or of a blob, of another key, or gone.

        Returns the seconds until the next is due.

        Raises the store's errors and those of the Kubernetes API. A release whose manifest the store has lost takes
        nothing else from the site: the grant is kept for the rest before the error is raised.
        """
        digests = _policies(document)
        lost: ObjectMissingError | DigestMismatchError | None = None
        for release in sorted(_releases(document), key=attrgetter("digest")):
            digests |= {release.digest, release.signature}
            try:
                digests |= self._files_of(release)
            except (ObjectMissingError, DigestMismatchError) as error:
                lost = error
        left = self._keep(site, frozenset(digests), now)
        if lost is not None:
            raise lost
        return left

    def _keep(self, site: str, digests: frozenset[str], now: datetime) -> float:
        issued, key = self._issued.get(site), self._issuer.key_fingerprint()
        if (
            issued is None
            or (issued.digests, issued.key) != (digests, key)
            or now >= issued.renew_at
            or self._is_gone(site, now)
        ):
            if not self._checked:
                self._check_store(now)
                self._checked = True
            grant = self._issuer.issue(site, digests, now)
            self._kube.apply(SECRETS, _secret(site, grant.model_dump_json(by_alias=True)))
            self._looked[site] = now
            issued = self._issued[site] = _Issued(digests, key, renew_at(grant))
        return (issued.renew_at - now).total_seconds()

    def _is_gone(self, site: str, now: datetime) -> bool:
        """Tell whether somebody deleted the grant; asked seldom, as sites report, and so come here, all the time."""
        if now < self._looked[site] + _LOOK_EVERY:
            return False
        self._looked[site] = now
        return self._kube.get(SECRETS, GRANT_SECRET, namespace_of(site)) is None

    def _files_of(self, release: ReleaseRef) -> frozenset[str]:
        """What serving a release takes beside its manifest; read once, as a digest's content never changes."""
        if (files := self._files.get(release.digest)) is None:
            manifest = Manifest.model_validate_json(read_blob(self._store, release.digest, MAX_MANIFEST_BYTES))
            files = self._files[release.digest] = frozenset(
                (*manifest.feature_set_digests(), *(entry.digest for entry in manifest.files))
            )
        return files


def _policies(document: AssignmentDocument) -> set[str]:
    sets = document.feature_sets
    return {digest for digest in (document.trust_policy, document.sync_policy, *sets) if digest is not None}


def _releases(document: AssignmentDocument) -> set[ReleaseRef]:
    refs = (ref for entry in document.models for ref in (entry.target, entry.approved))
    return {ref for ref in refs if ref is not None}


def _secret(site: str, grant: str) -> JsonObject:
    return {
        "apiVersion": SECRETS.api_version,
        "kind": SECRETS.kind,
        "metadata": {"name": GRANT_SECRET, "namespace": namespace_of(site)},
        "type": "Opaque",
        "data": {GRANT_KEY: base64.b64encode(grant.encode()).decode()},
    }
