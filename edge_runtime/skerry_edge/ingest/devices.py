"""A site's registry of its devices: what is known of each, and how that is stored with the device's events. Pure.

The file `devices.json`:

    {"asOf": "2026-11-28T06:00:00Z",
     "devices": {"press-7": {"model": "X1", "firmware": "2.1", "place": "hall 2", "units": {"rms": "m/s"}}}}

The names of devices are those that events give. What is known of one are texts, numbers and booleans by name, and
groups of these. An entry's stored form is its canonical JSON with the entry's `revision`, so the same entry gives the
same bytes wherever it is read. `asOf` may be left out; it is stored with each entry, and features that are derived from
what is known of devices are no fresher than that.
"""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.devices import AS_OF, MEMBER, REVISION
from skerry_core.errors import UserMustActError
from skerry_core.micros import rfc3339
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.limits import MAX_KEY_CHARACTERS
from skerry_edge.ingest.rfc3339 import parse_time

MAX_DOCUMENT_BYTES = 1 << 20
"""What Kubernetes takes as a ConfigMap."""
MAX_DEVICES = 10_000
MAX_ENTRY_BYTES = 1024
MAX_TEXT = 256
"""What features take as a text."""
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_EXACT = (1 << 53) - 1
_REVISION_DIGITS = 12
_ADDED = f',"{MEMBER}":'.encode()
_AS_OF_BYTES = len(f'"{AS_OF}":"{rfc3339(0)}",')
MAX_ADDED_BYTES = len(_ADDED) + MAX_ENTRY_BYTES + _AS_OF_BYTES
"""By how much an event can grow when it is stored with what is known of its device."""


@dataclass(frozen=True)
class Devices:
    """The registry: `entries` are the stored forms by device, `data` the canonical bytes that `digest` names.

    `as_of` is in microseconds since 1970, None if the registry doesn't tell.
    """

    entries: Mapping[str, bytes]
    data: bytes
    as_of: int | None = None

    @property
    def digest(self) -> str:
        """Which version of the registry it is."""
        return digests.of_bytes(self.data)


NO_DEVICES = Devices({}, b'{"devices":{}}')


def read_devices(data: bytes) -> Devices:
    """Read `devices.json`. Raises UserMustActError `DevicesInvalid`, which names the device."""
    if len(data) > MAX_DOCUMENT_BYTES:
        raise _invalid(f"it has more than {MAX_DOCUMENT_BYTES} bytes")
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _invalid(str(error)) from error
    devices: Any = document.get("devices") if isinstance(document, dict) else None
    if not isinstance(devices, dict) or not document.keys() <= {"devices", AS_OF}:
        raise _invalid('it must be {"devices": {NAME: {…}, …}}, with "asOf" or without')
    as_of = _moment(document[AS_OF]) if AS_OF in document else None
    if len(devices) > MAX_DEVICES:
        raise _invalid(f"there may be at most {MAX_DEVICES} devices")
    try:
        entries = {name: _entry(name, known, as_of) for name, known in devices.items()}
        return Devices(entries, canonical_json(document), as_of)
    except ValueError as error:
        # Half of a character (a lone surrogate) has no bytes.
        raise _invalid(str(error)) from error


def device_of(path: str, event: Event) -> str | None:
    """The device that an event names at `subject`, `source` or below `data`; an integer is its decimal text."""
    if path == "subject":
        return event.subject
    if path == "source":
        return event.source
    try:
        return _reader(path)(event.body)
    except (ValueError, RecursionError):
        return None


def with_device(body: bytes, entry: bytes) -> bytes:
    """The stored form of an event, with what is known of its device."""
    return body[:-1] + _ADDED + entry + b"}"


def names_device(body: bytes) -> bool:
    """Whether an event brings an attribute of that name itself."""
    return f'"{MEMBER}"'.encode() in body and _decode_own(body).device is not UNSET


class _Own(msgspec.Struct):
    device: Raw | UnsetType = UNSET


_decode_own = msgspec.json.Decoder(_Own).decode


@lru_cache(64)
def _reader(path: str) -> Callable[[bytes], str | None]:
    first, *rest = path.split(".")
    shape: Any = str | int | None
    for name in (*reversed(rest), first):
        shape = msgspec.defstruct("Level", [("below", shape, None)], rename={"below": name}) | None
    decode = msgspec.json.Decoder(shape).decode

    def read(body: bytes) -> str | None:
        found = decode(body)
        for _ in (first, *rest):
            found = None if found is None else found.below
        return None if found is None else str(found)

    return read


def _moment(text: Any) -> int:
    try:
        return parse_time(text if isinstance(text, str) else "")
    except MalformedError as error:
        raise _invalid(f"{AS_OF}: {error}") from error


def _entry(name: str, known: Any, as_of: int | None) -> bytes:
    if not 0 < len(name) <= MAX_KEY_CHARACTERS:
        raise _invalid(f"a device's name has 1 to {MAX_KEY_CHARACTERS} characters")
    if not isinstance(known, dict):
        raise _invalid(f"what is known of {name[:64]!r} must be an object")
    if taken := known.keys() & {REVISION, AS_OF}:
        raise _invalid(f"{name[:64]!r}: {min(taken)} is told of every device; give yours another name")
    for member, value in known.items():
        _check(name, member, value)
        if isinstance(value, dict):
            for inner, below in value.items():
                if isinstance(below, dict):
                    raise _invalid(f"{name[:64]!r}: {member}.{inner} is nested too deeply")
                _check(name, inner, below)
    revision = digests.hex_of(digests.of_bytes(canonical_json(known)))[:_REVISION_DIGITS]
    entry = canonical_json({**known, REVISION: revision})
    if len(entry) > MAX_ENTRY_BYTES:
        raise _invalid(f"what is known of {name[:64]!r} has {len(entry)} bytes, allowed are {MAX_ENTRY_BYTES}")
    return entry if as_of is None else canonical_json({**known, AS_OF: rfc3339(as_of), REVISION: revision})


def _check(name: str, member: str, value: Any) -> None:
    where = f"{name[:64]!r}: {member[:64]!r}"
    if not _NAME.fullmatch(member):
        raise _invalid(f"{where} is no name: up to 63 of A-Z, a-z, 0-9 and _, not a digit first")
    if isinstance(value, str) and len(value) > MAX_TEXT:
        raise _invalid(f"{where} has more than {MAX_TEXT} characters")
    # A larger one would be another when the node reads its copy: canonical JSON writes no point where none is needed.
    if isinstance(value, int | float) and abs(value) > _EXACT:
        raise _invalid(f"{where} is beyond 2^53")
    if value is None or isinstance(value, list):
        raise _invalid(f"{where} must be a text, a number, a boolean, or a group of these")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(name for name in names if names.count(name) > 1)[:64]!r} is there twice")
    return found


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number of JSON")


def _invalid(why: str) -> UserMustActError:
    return UserMustActError("DevicesInvalid", f"devices.json can't be used: {why}")
