"""Whom a record is about, and whether its entity is in the sample."""

import hashlib
from functools import lru_cache

import msgspec


class _Attributes(msgspec.Struct):
    subject: object = None
    source: object = None


_decode = msgspec.json.Decoder(_Attributes).decode

_SPACE = 1 << 64


def entity_of(body: bytes) -> str | None:
    """CloudEvents' `subject`, else its `source`; None if the body has neither, or can't be read."""
    try:
        attributes = _decode(body)
    except (ValueError, RecursionError):
        return None
    for value in (attributes.subject, attributes.source):
        if isinstance(value, str) and value:
            return value
    return None


class Sampler:
    """Draws entities by a keyed hash: one is always wholly in the sample or out of it, in every stream alike.

    A smaller share draws from among those of a larger one.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key[: hashlib.blake2b.MAX_KEY_SIZE]
        self._place = lru_cache(maxsize=4096)(self._hash)

    def takes(self, entity: str, share: float) -> bool:
        """Whether an entity is among the share (0 to 1) that leaves the site."""
        return self._place(entity) < int(share * _SPACE)

    def _hash(self, entity: str) -> int:
        return int.from_bytes(hashlib.blake2b(entity.encode(), key=self._key, digest_size=8).digest())
