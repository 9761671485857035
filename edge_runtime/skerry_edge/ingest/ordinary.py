"""CloudEvents with no attributes but the specification's, read by a schema in a sixth of the time.

What comes out is what `cloudevent.from_members` makes of the same event, byte by byte. Whatever isn't clearly valid
and ordinary is left to it, so that there is one place that says what is wrong with an event.
"""

from functools import lru_cache
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from skerry_edge.ingest import cloudevent, json_shape
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.limits import MAX_KEY_CHARACTERS
from skerry_edge.ingest.rfc3339 import parse_time

# Sources, types, subjects, media types and seconds come again and again.
_REMEMBERED = 4096
_NO_DATA = Raw()
# `2026-01-31T12:00:00`
_TO_SECONDS = 19
_MOST_DIGITS = 64

_Key = Annotated[str, Meta(min_length=1, max_length=MAX_KEY_CHARACTERS)]


class _Ordinary(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True, gc=False):
    """Members in the order in which an event is stored."""

    specversion: Literal["1.0"]
    id: _Key
    source: _Key
    type: _Key
    subject: _Key | UnsetType = UNSET
    time: str | UnsetType = UNSET
    datacontenttype: str | UnsetType = UNSET
    dataschema: str | UnsetType = UNSET
    data: Raw = _NO_DATA


_decode = msgspec.json.Decoder(_Ordinary).decode
_encode = msgspec.json.Encoder().encode


def read(raw: bytes) -> Event | None:
    """The event of a JSON text; None if it is none, or none of this kind."""
    if not json_shape.is_small(raw):
        return None
    try:
        known = _decode(raw)
        data = bytes(known.data)
        if data:
            # The schema has looked into all but the data; of two of them into neither.
            _ = json_shape.decode_small(data if raw.count(b'"data"') == 1 and b"\\" not in raw else raw)
        time = None if known.time is UNSET else _micros(known.time)
    except (msgspec.DecodeError, ValueError, RecursionError, MalformedError):
        return None
    subject = None if known.subject is UNSET else known.subject
    if not (
        _is_clean(known.id)
        and _is_clean_source(known.source)
        and _is_clean_text(known.type)
        and (subject is None or _is_clean_text(subject))
        and (known.datacontenttype is UNSET or _is_json(known.datacontenttype))
        and (known.dataschema is UNSET or _is_schema(known.dataschema))
    ):
        return None
    if b" " in data or b"\n" in data or b"\r" in data or b"\t" in data:
        known.data = Raw(json_shape.compact(data))
    return Event(known.source, known.id, known.type, subject, time, _encode(known))


def _is_clean(text: str) -> bool:
    """Whether it has no characters that are barred; of printable ASCII none is."""
    return (text.isascii() and text.isprintable()) or not cloudevent.has_barred(text)


_is_clean_text = lru_cache(_REMEMBERED)(_is_clean)


@lru_cache(_REMEMBERED)
def _is_clean_source(text: str) -> bool:
    return _is_clean(text) and cloudevent.is_uri_reference(text)


@lru_cache(_REMEMBERED)
def _is_json(content_type: str) -> bool:
    return _is_valid("datacontenttype", content_type) and cloudevent.is_json(content_type)


@lru_cache(_REMEMBERED)
def _is_schema(uri: str) -> bool:
    return _is_valid("dataschema", uri)


def _is_valid(name: str, value: str) -> bool:
    try:
        cloudevent.check_attribute(name, value)
    except MalformedError:
        return False
    return True


def _micros(text: str) -> int:
    """As `parse_time`, which is asked about whole seconds of UTC only once. Raises MalformedError."""
    whole, rest = text[:_TO_SECONDS], text[_TO_SECONDS:]
    if rest == "Z":
        return _seconds(whole)
    fraction = rest[1:-1]
    is_fraction = len(fraction) <= _MOST_DIGITS and fraction.isascii() and fraction.isdigit()
    if is_fraction and rest[0] == "." and rest[-1] == "Z":
        return _seconds(whole) + int(fraction[:6].ljust(6, "0"))
    return parse_time(text)


@lru_cache(_REMEMBERED)
def _seconds(text: str) -> int:
    return parse_time(f"{text}Z")
