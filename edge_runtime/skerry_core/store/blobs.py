"""Content-addressed objects: `blobs/sha256/<hex>`, never changed once there, checked whenever read."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

from skerry_core import digest as digests
from skerry_core.bundle.manifest import BlobRef
from skerry_core.store.errors import DigestMismatchError, ObjectMissingError
from skerry_core.store.port import ByteStream, Store, read_object

_PREFIX = "blobs/sha256/"


def blob_key(digest: str) -> str:
    """Key of a blob; ValueError if `digest` isn't one."""
    return _PREFIX + digests.hex_of(digest)


def has_blob(store: Store, blob: BlobRef) -> bool:
    """Tell whether the store holds the blob with its right size (its bytes are checked when read)."""
    info = store.stat(blob_key(blob.digest))
    return info is not None and info.size == blob.size


def put_bytes(store: Store, data: bytes) -> BlobRef:
    """Store bytes under their digest, unless they are there, undamaged."""
    blob = BlobRef(digest=digests.of_bytes(data), size=len(data))
    if not _holds(store, blob):
        store.put(blob_key(blob.digest), data)
    return blob


def put_file(store: Store, path: Path, blob: BlobRef) -> bool:
    """Store a file whose digest is known, unless it is there, undamaged; False if it was.

    The bytes are digested as they leave: a file that changed meanwhile is taken back and DigestMismatchError raised.
    """
    if _holds(store, blob):
        return False
    key = blob_key(blob.digest)
    with path.open("rb") as file:
        reader = _Digesting(file)
        store.put(key, reader, blob.size)
    if reader.digest != blob.digest:
        store.delete(key)
        raise DigestMismatchError(f"{path} has digest {reader.digest}, not {blob.digest}: package it again")
    return True


def _holds(store: Store, blob: BlobRef) -> bool:
    """Whether the blob is there, byte for byte: people are told to push again what was found damaged."""
    if not has_blob(store, blob):
        return False
    try:
        for _ in get_blob(store, blob.digest):
            pass
    except (DigestMismatchError, ObjectMissingError):
        return False
    return True


def get_blob(store: Store, digest: str) -> Iterator[bytes]:
    """Yield a blob's bytes; DigestMismatchError after the last chunk if they aren't those of the digest."""
    hasher = hashlib.sha256()
    for chunk in store.get(blob_key(digest)):
        hasher.update(chunk)
        yield chunk
    if hasher.hexdigest() != digests.hex_of(digest):
        raise _mismatch(digest)


def read_blob(store: Store, digest: str, limit: int) -> bytes:
    """Read a whole blob of at most `limit` bytes, digest checked."""
    data = read_object(store, blob_key(digest), limit)
    if digests.of_bytes(data) != digest:
        raise _mismatch(digest)
    return data


def _mismatch(digest: str) -> DigestMismatchError:
    return DigestMismatchError(f"the store's {blob_key(digest)} holds other bytes: push the bundle again")


class _Digesting:
    """Digests what is read through it."""

    def __init__(self, file: ByteStream) -> None:
        self._file = file
        self._hasher = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self._hasher.update(data)
        return data

    @property
    def digest(self) -> str:
        return f"sha256:{self._hasher.hexdigest()}"
