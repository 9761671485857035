"""What sites go by, as the store has it under its digest: read once, as a digest's content never changes."""

from functools import lru_cache

from skerry_core.features.definition import MAX_DOCUMENT_BYTES, FeatureSetDocument
from skerry_core.features.fed import Source, source_of
from skerry_core.store.blobs import read_blob
from skerry_core.store.port import Store
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES as MAX_POLICY_BYTES
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_core.sync_policy.load import read_policy

_SOURCES = 4096
_POLICIES = 256


class PublishedReader:
    """What feeds feature sets, and SyncPolicies. Safe for threads; both raise the store's errors and ValueError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._sources = lru_cache(_SOURCES)(self._read_source)
        self._policies = lru_cache(_POLICIES)(self._read_policy)

    def source(self, digest: str) -> Source:
        """What feeds the version of a feature set."""
        return self._sources(digest)

    def policy(self, digest: str) -> SyncPolicyDocument:
        """A SyncPolicy as it was published."""
        return self._policies(digest)

    def _read_source(self, digest: str) -> Source:
        return source_of(FeatureSetDocument.model_validate_json(read_blob(self._store, digest, MAX_DOCUMENT_BYTES)))

    def _read_policy(self, digest: str) -> SyncPolicyDocument:
        return read_policy(read_blob(self._store, digest, MAX_POLICY_BYTES), digest)
