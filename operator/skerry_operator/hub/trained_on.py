"""Feature sets of releases, as their manifests in the store say: read once, as a digest's content never changes."""

import threading

from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, Manifest
from skerry_core.store.blobs import read_blob
from skerry_core.store.port import Store


class FeatureSetReader:
    """Which feature sets releases were trained on. Safe for threads; keeps no more of a manifest than that."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._read: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()

    def of(self, digest: str) -> tuple[str, ...]:
        """Digests of those of the release whose manifest has this digest; raises the store's errors."""
        with self._lock:
            if (known := self._read.get(digest)) is not None:
                return known
        manifest = Manifest.model_validate_json(read_blob(self._store, digest, MAX_MANIFEST_BYTES))
        with self._lock:
            return self._read.setdefault(digest, manifest.feature_set_digests())
