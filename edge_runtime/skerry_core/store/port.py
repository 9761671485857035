"""The store port: objects by key. S3, a folder and memory stand behind it and pass one conformance suite."""

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from skerry_core.store.errors import StoreAddressInvalidError, StoreRefusedError

MAX_KEY_BYTES = 1024
_MAX_SEGMENT_BYTES = 240  # below a file system's 255, so that a folder has room for its temporary names
_DELETE = "\x7f"


@dataclass(frozen=True)
class ObjectInfo:
    """An object's key and its size in bytes."""

    key: str
    size: int


class ByteStream(Protocol):
    """What a put reads from: an open file, say."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes, all if negative; nothing at the end."""
        ...


class Store(Protocol):
    """Whole objects by key; a put is seen whole or not at all, by everybody, once it has returned.

    All methods raise `skerry_core.errors` classes only, with the reasons of `skerry_core.store.errors`. Keys are
    checked by `check_key` in every adapter. A key can't also be another key's folder (`a` beside `a/b`).
    """

    @property
    def uri(self) -> str:
        """The base URI that keys are relative to, such as `s3://skerry`; no trailing slash."""
        ...

    def put(self, key: str, data: bytes | ByteStream, size: int | None = None) -> None:
        """Write or replace an object; `size` in bytes is needed for a stream, which must hold exactly that many.

        Raises StoreRefusedError, and leaves the old object, if it does not.
        """
        ...

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield bytes [start, end) in chunks; nothing is asked, and no error raised, before the first `next`.

        A start at or behind the object's end yields nothing. Raises ObjectMissingError.
        """
        ...

    def stat(self, key: str) -> ObjectInfo | None:
        """Look at an object; None if it isn't there."""
        ...

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Yield all objects whose keys start with `prefix`, in order of their keys' UTF-8 bytes."""
        ...

    def delete(self, key: str) -> None:
        """Remove an object; removing one that isn't there is no error."""
        ...


def check_key(key: str) -> str:
    """Return the key if every store can hold it; else raise StoreAddressInvalidError.

    Dot segments and empty ones are refused, since some stores resolve them as paths and one key would name two objects.
    """
    segments = key.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        raise StoreAddressInvalidError(f"{key!r} is not a key: it has an empty or a dot segment")
    if any(character < " " or character in {_DELETE, "\\"} for character in key):
        raise StoreAddressInvalidError(f"{key!r} is not a key: control characters and backslashes are refused")
    try:
        encoded = key.encode()
    except UnicodeEncodeError:
        raise StoreAddressInvalidError(f"{key!r} is not a key: it isn't valid Unicode") from None
    if len(encoded) > MAX_KEY_BYTES or any(len(segment.encode()) > _MAX_SEGMENT_BYTES for segment in segments):
        raise StoreAddressInvalidError(f"{key[:80]!r}… is too long for a key")
    return key


class SizedStream:
    """The bytes of a put, refused (StoreRefusedError) before the last of them is out if they aren't as announced."""

    def __init__(self, key: str, data: bytes | ByteStream, size: int | None) -> None:
        if isinstance(data, bytes):
            size, data = len(data), BytesIO(data)
        if size is None:
            raise TypeError("a stream needs its size")
        self.size = size
        self._key = key
        self._stream = data
        self._received = 0

    def read(self, size: int = -1, /) -> bytes:
        data = self._stream.read(size)
        self._received += len(data)
        over = self._received > self.size or (self._received == self.size and data and self._stream.read(1))
        if over or (self._received < self.size and (size < 0 or (size and not data))):
            found = "more" if over else f"{self._received}"
            raise StoreRefusedError(f"{self._key}: {self.size} bytes were announced, the stream has {found}")
        return data


def read_object(store: Store, key: str, limit: int) -> bytes:
    """Read a whole object of at most `limit` bytes; StoreRefusedError if it is larger, whatever the store claims."""
    data = bytearray()
    for chunk in store.get(key, end=limit + 1):
        data += chunk
    if len(data) > limit:
        raise StoreRefusedError(f"{key} is larger than the {limit} bytes that it may have")
    return bytes(data)
