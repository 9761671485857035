"""Events of the stream `consent`: an entity gives its consent for data classes, or withdraws it.

Type `dev.skerry.consent.granted` or `dev.skerry.consent.withdrawn`, `subject` the entity (as other events' subjects, or
sources, spell it), data `{"dataClasses": ["…"]}`.

A node adds what other nodes of its site tell it of (`relayed_body`): nobody else may write these types. A relayed
withdrawal has a hash for its subject, which only the site's nodes can make, and no classes if it holds for all.
"""

import hashlib
import re
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from skerry_edge.ingest.errors import MalformedError

GRANTED = "dev.skerry.consent.granted"
WITHDRAWN = "dev.skerry.consent.withdrawn"
RELAYED = "dev.skerry.consent.relayed"
LOST = "dev.skerry.consent.lost"
_SOURCE = "skerry:node/"
_MAX_CLASSES = 64
_CLASS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HASH = re.compile(r"[0-9a-f]{32}")
_ID = re.compile(r"([0-9a-f]{16})/([1-9][0-9]{0,18})")


class _Data(msgspec.Struct):
    classes: list[str] = msgspec.field(name="dataClasses")


class _Body(msgspec.Struct):
    type: str
    data: _Data
    subject: str = ""
    source: str = ""
    id: str = ""


_decode = msgspec.json.Decoder(_Body).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Change:
    """What one event says."""

    entity: str
    data_classes: frozenset[str]
    withdrawn: bool


@dataclass(frozen=True, slots=True)
class Relayed:
    """A withdrawal that another node of the site told of: its `number` there, in that node's counting `incarnation`.

    `entity` is a hash (`site_hash`); None: something was lost there, so no grant of before holds. No `data_classes`:
    all.
    """

    node: str
    incarnation: str
    number: int
    entity: str | None
    data_classes: frozenset[str] = frozenset()

    @property
    def source(self) -> str:
        """Of the event that records it."""
        return f"{_SOURCE}{self.node}"

    @property
    def id(self) -> str:
        """Of that event: the same for the same withdrawal."""
        return f"{self.incarnation}/{self.number}"

    @property
    def type(self) -> str:
        """Of that event."""
        return LOST if self.entity is None else RELAYED

    def holds_for(self, data_class: str) -> bool:
        """Whether it withdraws consent for a class of data."""
        return not self.data_classes or data_class in self.data_classes


Record: TypeAlias = Change | Relayed


def read_change(body: bytes) -> Change:
    """Read an event that a producer may send. Raises MalformedError `InvalidConsent`."""
    return _change(_read(body))


def read_record(body: bytes) -> Record:
    """Read a stored event, a node's own records too. Raises MalformedError `InvalidConsent`."""
    found = _read(body)
    return _relayed(found) if found.type in {RELAYED, LOST} else _change(found)


def relayed_body(relayed: Relayed) -> bytes:
    """The event that records what another node told of; `read_record` reads it."""
    subject = {} if relayed.entity is None else {"subject": relayed.entity}
    return _encode(
        {
            "specversion": "1.0",
            "id": relayed.id,
            "source": relayed.source,
            "type": relayed.type,
            **subject,
            "data": {"dataClasses": sorted(relayed.data_classes)},
        }
    )


def entity_key(entity: str) -> str:
    """What stands for an entity in memory and on disk: 32 characters however long its name is."""
    return hashlib.blake2b(entity.encode(), digest_size=16, person=b"skerry-consent").hexdigest()


def site_hash(secret: bytes, key: str) -> str:
    """What stands for an entity between the nodes of a site, of its `entity_key`; `secret` is theirs alone."""
    return hashlib.blake2b(key.encode(), digest_size=16, key=secret, person=b"skerry-relay").hexdigest()


def _read(body: bytes) -> _Body:
    try:
        return _decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise MalformedError("InvalidConsent", 'data must be {"dataClasses": ["…"]}') from error


def _change(found: _Body) -> Change:
    if found.type not in {GRANTED, WITHDRAWN}:
        raise MalformedError("InvalidConsent", f"type must be {GRANTED} or {WITHDRAWN}")
    if not found.subject:
        raise MalformedError("InvalidConsent", "subject must name the entity")
    classes = found.data.classes
    if not 0 < len(classes) <= _MAX_CLASSES or not all(_CLASS.fullmatch(name) for name in classes):
        raise MalformedError("InvalidConsent", f"dataClasses must be 1 to {_MAX_CLASSES} names of data classes")
    return Change(found.subject, frozenset(classes), withdrawn=found.type == WITHDRAWN)


def _relayed(found: _Body) -> Relayed:
    name = _ID.fullmatch(found.id)
    if name is None or not found.source.startswith(_SOURCE):
        raise MalformedError("InvalidConsent", "it isn't as nodes write it")
    entity = found.subject if found.type == RELAYED else None
    if entity is not None and not _HASH.fullmatch(entity):
        raise MalformedError("InvalidConsent", "it isn't as nodes write it")
    node = found.source.removeprefix(_SOURCE)
    return Relayed(node, name[1], int(name[2]), entity, frozenset(found.data.classes))
