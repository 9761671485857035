"""Puts a signed bundle into a store: blobs first, the reference last, so that a reader sees all of it or nothing."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from skerry_core.bundle.folder import BundleFolder
from skerry_core.bundle.manifest import BlobRef, BundleReference, Manifest
from skerry_core.canonical import canonical_json
from skerry_core.errors import UserMustActError
from skerry_core.store.blobs import put_bytes, put_file
from skerry_core.store.errors import ObjectMissingError
from skerry_core.store.location import key_of
from skerry_core.store.port import Store, read_object

REFERENCE_FILE = "bundle.json"
MAX_REFERENCE_BYTES = 1 << 14


@dataclass(frozen=True)
class Progress:
    """One file is in the store; `sent` is False if it was there already. Sizes in bytes."""

    name: str
    size: int
    sent: bool


def push(
    store: Store, bundle: BundleFolder, storage_uri: str, progress: Callable[[Progress], None] = lambda _: None
) -> BundleReference:
    """Publish a bundle at `storage_uri`; again and after a crash too, since what is there is not sent twice.

    Raises UserMustActError `BundleUnsigned`; `BundleExists` when another manifest was published there, since versions
    are immutable; and the store's own errors.
    """
    if bundle.signature is None:
        raise UserMustActError(
            "BundleUnsigned", f"{bundle.folder} is not signed, no site would load it: run `skerry sign`"
        )
    reference_key = f"{key_of(store, storage_uri)}/{REFERENCE_FILE}"
    _refuse_other(store, reference_key, bundle.digest, storage_uri)
    for entry in bundle.manifest.files:
        sent = put_file(store, bundle.file(entry.path), BlobRef(digest=entry.digest, size=entry.size))
        progress(Progress(entry.path, entry.size, sent))
    reference = BundleReference(
        manifest=put_bytes(store, bundle.manifest_bytes), signature=put_bytes(store, bundle.signature)
    )
    store.put(reference_key, canonical_json(reference))
    progress(Progress(REFERENCE_FILE, len(canonical_json(reference)), sent=True))
    return reference


def _refuse_other(store: Store, key: str, digest: str, storage_uri: str) -> None:
    try:
        published = BundleReference.model_validate_json(read_object(store, key, MAX_REFERENCE_BYTES))
    except (ObjectMissingError, ValidationError):
        return
    if published.manifest.digest != digest:
        raise UserMustActError(
            "BundleExists",
            f"{storage_uri} holds another bundle, {published.manifest.digest}: versions never change, use a new one",
        )


def storage_uri_of(store: Store, manifest: Manifest) -> str:
    """Where a version lies by convention: `<store>/models/<model>/<version>`."""
    return f"{store.uri}/models/{manifest.model}/{manifest.version}"
