"""Reads a published bundle, as the hub does before it believes that a release can go out."""

from pydantic import ValidationError

from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, BlobRef, BundleReference, Manifest
from skerry_core.bundle.publish import MAX_REFERENCE_BYTES, REFERENCE_FILE
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.store.blobs import has_blob, read_blob
from skerry_core.store.errors import DigestMismatchError, ObjectMissingError
from skerry_core.store.location import key_of
from skerry_core.store.port import Store, read_object


class BundleMissingError(WaitError):
    """Nothing is published there yet."""

    def __init__(self, storage_uri: str) -> None:
        super().__init__("BundleMissing", f"no bundle at {storage_uri}: push it with `skerry push`, or correct the URI")


class BundleIncompleteError(WaitError):
    """A part of the bundle isn't in the store: lost, or copied only half."""

    def __init__(self, blob: str) -> None:
        super().__init__(
            "BundleIncomplete", f"the store lacks {blob}, or holds only a part of it: push the bundle again"
        )


def read_reference(store: Store, storage_uri: str, digest: str | None = None) -> BundleReference:
    """Read what is published at `storage_uri`; `digest` is the manifest's that is expected there.

    Raises BundleMissingError, DigestMismatchError, UserMustActError `BundleMalformed`, and the store's own errors.
    """
    try:
        data = read_object(store, f"{key_of(store, storage_uri)}/{REFERENCE_FILE}", MAX_REFERENCE_BYTES)
        reference = BundleReference.model_validate_json(data)
    except ObjectMissingError:
        raise BundleMissingError(storage_uri) from None
    except ValidationError as error:
        raise UserMustActError("BundleMalformed", f"{storage_uri}/{REFERENCE_FILE}: {error}") from error
    if digest is not None and reference.manifest.digest != digest:
        raise DigestMismatchError(
            f"{storage_uri} holds {reference.manifest.digest}, the release names {digest}: correct one of them"
        )
    return reference


def read_manifest(store: Store, reference: BundleReference) -> bytes:
    """Read the manifest's bytes, digest checked; whether to believe them is for `skerry_core.trust` to say."""
    return _read(store, reference.manifest, "manifest", MAX_MANIFEST_BYTES)


def read_signature(store: Store, reference: BundleReference) -> bytes:
    """Read the sigstore bundle over the manifest, digest checked."""
    return _read(store, reference.signature, "signature", MAX_SIGNATURE_BYTES)


def check_complete(store: Store, manifest: Manifest) -> None:
    """Raise BundleIncompleteError unless the store holds every file of the manifest, whole by size."""
    for entry in manifest.files:
        if not has_blob(store, BlobRef(digest=entry.digest, size=entry.size)):
            raise BundleIncompleteError(f"{entry.path} ({entry.digest}, {entry.size} bytes)")


def _read(store: Store, blob: BlobRef, what: str, limit: int) -> bytes:
    try:
        return read_blob(store, blob.digest, limit)
    except ObjectMissingError:
        raise BundleIncompleteError(f"the {what} ({blob.digest})") from None
