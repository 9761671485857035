"""CloudEvents 1.0: what an event must be, and the one JSON form in which every event is stored.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md and formats/json-format.md beside it.
"""

import binascii
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from skerry_edge.ingest import json_shape
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.limits import MAX_ATTRIBUTE_NAME, MAX_ATTRIBUTES, MAX_KEY_CHARACTERS
from skerry_edge.ingest.rfc3339 import parse_time

SPEC_VERSION = "1.0"
JSON = "application/json"

Attribute: TypeAlias = str | bool | int
# Required and optional attributes, in the order in which they are stored; extensions follow by name.
_ORDER = ("specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema")
_REQUIRED = _ORDER[:4]
_DATA = ("data", "data_base64")

_NAME = re.compile(rf"[a-z0-9]{{1,{MAX_ATTRIBUTE_NAME}}}")
# Control characters and the noncharacters of all planes; surrogates don't come out of a UTF-8 decoder.
_BARRED = re.compile(
    "[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef"
    + "".join(f"{chr(p << 16 | 0xFFFE)}{chr(p << 16 | 0xFFFF)}" for p in range(17))
    + "]"
)
# https://www.rfc-editor.org/rfc/rfc3986: its characters, at most one fragment, and a colon in the first segment of a
# path only behind a scheme.
_URI_REFERENCE = re.compile(
    r"(?:[A-Za-z][A-Za-z0-9+.-]*:|(?=[^:/?#]*(?:[/?#]|$)))"
    r"(?:[A-Za-z0-9._~:/?\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+(?:#(?:[A-Za-z0-9._~:/?@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})*+)?"
)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_TOKEN = r"[A-Za-z0-9!#$%&'*+.^_`|~-]+"  # noqa: S105 - a token of RFC 9110
_MEDIA_TYPE = re.compile(rf'{_TOKEN}/{_TOKEN}(?:[ \t]*;[ \t]*{_TOKEN}=(?:{_TOKEN}|"[^"\\]*"))*+')
_MAX_MEDIA_TYPE = 256
_MIN_INTEGER, _MAX_INTEGER = -(1 << 31), (1 << 31) - 1

_encode = msgspec.json.Encoder().encode


class Event(msgspec.Struct, frozen=True, gc=False):
    """A valid event. `time` is in microseconds since 1970 UTC, None if it gave none; `body` is its JSON form.

    `given_id` tells that (`source`, `id`) is the producer's own, so that a second one with the same is a retry.
    """

    source: str
    id: str
    type: str
    subject: str | None
    time: int | None
    body: bytes
    given_id: bool = True

    @property
    def entity(self) -> str:
        """What the event is about: its subject, else its source."""
        return self.source if self.subject is None else self.subject


def from_json(raw: bytes | memoryview) -> Event:
    """Read an event in the JSON format. Raises MalformedError."""
    values, members = json_shape.decode_object(raw)
    return from_members(values, members)


def from_members(values: Mapping[str, Any], members: Mapping[str, msgspec.Raw]) -> Event:
    """Read an event from the members of a JSON object, decoded and as they came. Raises MalformedError."""
    attributes = {name: value for name, value in values.items() if name not in _DATA and value is not None}
    present = [name for name in _DATA if name in values]
    if len(present) > 1:
        raise MalformedError("TwoData", "an event has data or data_base64, not both")
    data: dict[str, msgspec.Raw] = {}
    if present == ["data_base64"]:
        data["data_base64"] = msgspec.Raw(_encode(_valid_base64(values["data_base64"])))
    elif present:
        content_type = attributes.get("datacontenttype", JSON)
        if isinstance(content_type, str) and not is_json(content_type) and not isinstance(values["data"], str):
            raise MalformedError(
                "InvalidData", f"data of type {content_type[:64]} must be a JSON string, or data_base64"
            )
        data["data"] = msgspec.Raw(json_shape.compact(memoryview(members["data"])))
    return build(attributes, data)


def from_bytes(attributes: Mapping[str, Any], content: bytes) -> Event:
    """An event whose data came beside its attributes, as `datacontenttype` says. Raises MalformedError.

    JSON stays JSON and UTF-8 text becomes a JSON string; whatever else it is becomes data_base64.
    """
    content_type = str(attributes.get("datacontenttype", ""))
    data: dict[str, msgspec.Raw] = {}
    if content and is_json(content_type):
        json_shape.decode_value(content)
        data["data"] = msgspec.Raw(json_shape.compact(content))
    elif content:
        text = _text(content) if content_type.lower().startswith("text/") else None
        if text is not None:
            data["data"] = msgspec.Raw(_encode(text))
        else:
            data["data_base64"] = msgspec.Raw(_encode(b64encode(content).decode()))
    return build(attributes, data)


def build(attributes: Mapping[str, Any], data: Mapping[str, msgspec.Raw], *, given_id: bool = True) -> Event:
    """Check attributes and put the event together; `data` is one member or none. Raises MalformedError."""
    if len(attributes) > MAX_ATTRIBUTES:
        raise MalformedError("TooManyAttributes", f"an event may have at most {MAX_ATTRIBUTES} attributes")
    for name, value in attributes.items():
        check_attribute(name, value)
    for name in _REQUIRED:
        if name not in attributes:
            raise MalformedError("AttributeMissing", f"{name} is missing")
    if attributes["specversion"] != SPEC_VERSION:
        raise MalformedError("UnknownVersion", f"specversion must be {SPEC_VERSION!r}")
    extensions = sorted(attributes.keys() - set(_ORDER))
    ordered = {name: attributes[name] for name in (*_ORDER, *extensions) if name in attributes}
    time, subject = attributes.get("time"), attributes.get("subject")
    return Event(
        source=attributes["source"],
        id=attributes["id"],
        type=attributes["type"],
        subject=subject,
        time=None if time is None else parse_time(time),
        body=_encode({**ordered, **data}),
        given_id=given_id,
    )


def is_json(content_type: str) -> bool:
    """Whether a media type is JSON: its subtype is `json` or ends in `+json`."""
    subtype = content_type.partition(";")[0].strip().lower().rpartition("/")[2]
    return subtype == "json" or subtype.endswith("+json")


def has_barred(text: str) -> bool:
    """Whether a text has characters that CloudEvents doesn't allow in attributes."""
    return _BARRED.search(text) is not None


def is_uri_reference(text: str) -> bool:
    """Whether a text is a URI-reference of RFC 3986, and not the empty one."""
    return bool(text) and _URI_REFERENCE.fullmatch(text) is not None


def check_attribute(name: str, value: object) -> None:
    """Raise MalformedError for a name or a value that no event may have."""
    if _NAME.fullmatch(name) is None or name == "data":
        raise MalformedError("InvalidAttributeName", f"not a name of an attribute: {name[:64]!r} (a-z and 0-9 only)")
    if isinstance(value, str):
        if has_barred(value):
            raise MalformedError("InvalidAttribute", f"{name} has characters that CloudEvents doesn't allow")
        _check_text(name, value)
    elif name in _ORDER:
        raise MalformedError("InvalidAttribute", f"{name} must be a string")
    elif not isinstance(value, bool) and not (isinstance(value, int) and _MIN_INTEGER <= value <= _MAX_INTEGER):
        raise MalformedError("InvalidAttribute", f"{name} must be a string, a boolean or an integer of 32 bits")


def _check_text(name: str, value: str) -> None:
    """What the specification asks of the attributes that it names."""
    if name in _ORDER and not value:
        raise MalformedError("InvalidAttribute", f"{name} must not be empty")
    if name in {"id", "source", "type", "subject"} and len(value) > MAX_KEY_CHARACTERS:
        raise MalformedError("InvalidAttribute", f"{name} may have at most {MAX_KEY_CHARACTERS} characters")
    if name in {"source", "dataschema"} and not is_uri_reference(value):
        raise MalformedError("InvalidAttribute", f"{name} must be a URI reference of RFC 3986")
    if name == "dataschema" and _SCHEME.match(value) is None:
        raise MalformedError("InvalidAttribute", "dataschema must be a whole URI")
    if name == "datacontenttype" and (len(value) > _MAX_MEDIA_TYPE or _MEDIA_TYPE.fullmatch(value) is None):
        raise MalformedError("InvalidAttribute", "datacontenttype must be a media type")


def _valid_base64(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedError("InvalidData", "data_base64 must be a string")
    try:
        b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise MalformedError("InvalidData", f"data_base64 is not Base64: {str(error)[:100]}") from error
    return value


def _text(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None
