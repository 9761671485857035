"""Who may send events to which streams over HTTP, where a site wants to know: bearer tokens (RFC 6750). Pure.

The file `producers.json`:

    {"producers": [{"name": "reception", "token": "…", "streams": ["consent", "visits"]}], "anonymous": ["readings"]}

`streams` and `anonymous` name streams, or `*` for all. What nobody is named for, nobody may send to. A producer that is
there twice has two tokens, as when one takes the other's place.
"""

import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus

import msgspec

from skerry_core.errors import UserMustActError
from skerry_edge.ingest.errors import RefusedError

MAX_PRODUCERS = 256
MAX_DOCUMENT_BYTES = 1 << 20
EVERY = "*"

# RFC 6750, section 2.1. Shorter ones could be guessed; `openssl rand -base64 32` makes 44 characters.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]{20,512}=*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_SCHEME = "bearer "


class _Given(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    token: str
    streams: list[str]


class _Document(msgspec.Struct, forbid_unknown_fields=True):
    producers: list[_Given]
    anonymous: list[str] = []


class Producer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A producer's name, its token's SHA-256 in hexadecimal digits, and its streams."""

    name: str
    digest: str
    streams: frozenset[str]


class _Noted(msgspec.Struct, forbid_unknown_fields=True):
    producers: list[Producer]
    anonymous: frozenset[str]


@dataclass(frozen=True)
class Producers:
    """Who may send what; tokens themselves aren't kept."""

    producers: Sequence[Producer] = ()
    anonymous: frozenset[str] = frozenset()

    def admit(self, stream: str, authorization: str | None) -> None:
        """Let a request pass that has this header, or raise RefusedError: 401 `Unauthenticated`, 403 `NotAllowed`."""
        if _has(self.anonymous, stream):
            return
        known = self._known(authorization)
        if not known:
            raise RefusedError(HTTPStatus.UNAUTHORIZED, "Unauthenticated", "send a producer's token: Bearer TOKEN")
        if not any(_has(producer.streams, stream) for producer in known):
            message = f"{known[0].name} may not send to stream {stream[:64]!r}"
            raise RefusedError(HTTPStatus.FORBIDDEN, "NotAllowed", message)

    def to_note(self) -> bytes:
        """As it is kept on the node: digests, no tokens."""
        return msgspec.json.encode(_Noted(list(self.producers), self.anonymous), order="sorted")

    def _known(self, authorization: str | None) -> list[Producer]:
        """Whose token it is. All are compared, each in a time that tells nothing of it."""
        given = authorization or ""
        token = given[len(_SCHEME) :].strip() if given[: len(_SCHEME)].lower() == _SCHEME else ""
        digest = _digest(token)
        return [producer for producer in self.producers if hmac.compare_digest(producer.digest, digest)]


NOBODY = Producers()


def read_producers(data: bytes) -> Producers:
    """Read `producers.json`. Raises UserMustActError `ProducersInvalid`, which shows no token."""
    try:
        document = msgspec.json.decode(data, type=_Document)
    except (ValueError, RecursionError) as error:
        raise _invalid(str(error)) from None
    if len(document.producers) > MAX_PRODUCERS:
        raise _invalid(f"there may be at most {MAX_PRODUCERS} producers")
    for number, given in enumerate(document.producers):
        if not given.name:
            raise _invalid(f"producer {number} has no name")
        if not _TOKEN.fullmatch(given.token):
            raise _invalid(f"the token of {given.name!r} must have 20 to 512 letters, digits or -._~+/")
    return Producers(
        tuple(Producer(given.name, _digest(given.token), frozenset(given.streams)) for given in document.producers),
        frozenset(document.anonymous),
    )


def read_note(data: bytes) -> Producers:
    """What `to_note` gave. Raises ValueError if it is something else."""
    noted = msgspec.json.decode(data, type=_Noted)
    if not all(_DIGEST.fullmatch(producer.digest) for producer in noted.producers):
        raise ValueError("a digest is none")
    return Producers(tuple(noted.producers), noted.anonymous)


def _has(streams: frozenset[str], stream: str) -> bool:
    return EVERY in streams or stream in streams


def _digest(token: str) -> str:
    return sha256(token.encode(errors="surrogateescape")).hexdigest()


def _invalid(why: str) -> UserMustActError:
    return UserMustActError("ProducersInvalid", f"producers.json can't be used: {why}")
