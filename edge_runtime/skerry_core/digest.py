"""SHA-256 digests in OCI's spelling: `sha256:` and 64 hex digits."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

_PREFIX = "sha256:"
_HEX_DIGITS = 64
_CHUNK = 1 << 20


def of_bytes(data: bytes) -> str:
    """Digest of bytes in memory."""
    return _PREFIX + hashlib.sha256(data).hexdigest()


def of_chunks(chunks: Iterable[bytes]) -> str:
    """Digest of a stream of chunks."""
    hasher = hashlib.sha256()
    for chunk in chunks:
        hasher.update(chunk)
    return _PREFIX + hasher.hexdigest()


def of_file(path: Path) -> str:
    """Digest of a file, read in chunks of 1 MiB."""
    with path.open("rb") as file:
        return of_chunks(iter(lambda: file.read(_CHUNK), b""))


def hex_of(digest: str) -> str:
    """The 64 hex digits of a digest; ValueError if it isn't one."""
    hexdigits = digest.removeprefix(_PREFIX)
    if hexdigits == digest or len(hexdigits) != _HEX_DIGITS or not set(hexdigits) <= set("0123456789abcdef"):
        raise ValueError(f"{digest!r} is not a sha256 digest")
    return hexdigits
