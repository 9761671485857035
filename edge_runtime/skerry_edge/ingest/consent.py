"""Events of the stream `consent`: an entity gives its consent for data classes, or withdraws it.

Type `dev.skerry.consent.granted` or `dev.skerry.consent.withdrawn`, `subject` the entity (as other events' subjects, or
sources, spell it), data `{"dataClasses": ["…"]}`.
"""

import re
from dataclasses import dataclass

import msgspec

from skerry_edge.ingest.errors import MalformedError

GRANTED = "dev.skerry.consent.granted"
WITHDRAWN = "dev.skerry.consent.withdrawn"
_MAX_CLASSES = 64
_CLASS = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class _Data(msgspec.Struct):
    classes: list[str] = msgspec.field(name="dataClasses")


class _Body(msgspec.Struct):
    type: str
    data: _Data
    subject: str = ""


_decode = msgspec.json.Decoder(_Body).decode


@dataclass(frozen=True, slots=True)
class Change:
    """What one event says."""

    entity: str
    data_classes: frozenset[str]
    withdrawn: bool


def read_change(body: bytes) -> Change:
    """Read a stored event. Raises MalformedError `InvalidConsent`."""
    try:
        found = _decode(body)
    except (msgspec.DecodeError, ValueError) as error:
        raise MalformedError("InvalidConsent", 'data must be {"dataClasses": ["…"]}') from error
    if found.type not in {GRANTED, WITHDRAWN}:
        raise MalformedError("InvalidConsent", f"type must be {GRANTED} or {WITHDRAWN}")
    if not found.subject:
        raise MalformedError("InvalidConsent", "subject must name the entity")
    classes = found.data.classes
    if not 0 < len(classes) <= _MAX_CLASSES or not all(_CLASS.fullmatch(name) for name in classes):
        raise MalformedError("InvalidConsent", f"dataClasses must be 1 to {_MAX_CLASSES} names of data classes")
    return Change(found.subject, frozenset(classes), withdrawn=found.type == WITHDRAWN)
