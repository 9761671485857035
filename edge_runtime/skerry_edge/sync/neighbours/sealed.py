"""A file on its way from node to node of a site, which only they can read: AES-256-GCM with a key that they all have.

Each transfer has a key of its own, made of theirs, random bytes that go ahead, and the file's name. A chunk's nonce is
its number and whether it is the last, so that none can be left out, moved or cut off. Source: the STREAM construction
of Hoang, Reyhanitabar, Rogaway and Vizár, "Online Authenticated-Encryption and its Nonce-Reuse Misuse-Resistance"
(CRYPTO 2015).
"""

import hmac
import secrets
from collections.abc import Iterable, Iterator

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK = 1 << 16
_TAG = 16
_RANDOM = 16
_NUMBER = 11


def sealed_size(size: int) -> int:
    """Bytes that a file of `size` bytes takes on its way."""
    return _RANDOM + size + _TAG * max(1, -(-size // CHUNK))


def seal(key: bytes, name: str, data: Iterable[bytes]) -> Iterator[bytes]:
    """The file, chunk by chunk; `data` in pieces of any size."""
    random = secrets.token_bytes(_RANDOM)
    cipher = _cipher(key, random, name)
    yield random
    for number, (piece, last) in enumerate(_pieces(data, CHUNK)):
        yield cipher.encrypt(_nonce(number, last=last), piece, None)


def unseal(key: bytes, name: str, received: Iterable[bytes]) -> Iterator[bytes]:
    """The file's bytes. ValueError for what was not sealed under this key and name, or isn't all of it."""
    pieces = iter(received)
    head = b""
    while len(head) < _RANDOM:
        piece = next(pieces, None)
        if piece is None:
            raise ValueError("it is cut short")
        head += piece
    cipher = _cipher(key, head[:_RANDOM], name)
    rest = _chained(head[_RANDOM:], pieces)
    for number, (piece, last) in enumerate(_pieces(rest, CHUNK + _TAG)):
        try:
            yield cipher.decrypt(_nonce(number, last=last), piece, None)
        except InvalidTag:
            raise ValueError("it was changed or cut short, or sealed with another site's salt") from None


def _cipher(key: bytes, random: bytes, name: str) -> AESGCM:
    return AESGCM(hmac.digest(key, random + name.encode(), "sha256"))


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(_NUMBER, "big") + bytes([last])


def _chained(first: bytes, more: Iterable[bytes]) -> Iterator[bytes]:
    yield first
    yield from more


def _pieces(data: Iterable[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """The same bytes in pieces of `size`, at least one, each with whether it is the last."""
    held = bytearray()
    for part in data:
        held += part
        while len(held) > size:
            yield bytes(held[:size]), False
            del held[:size]
    yield bytes(held), True
