"""The HTTP protocol binding of CloudEvents 1.0, and NDJSON: a request to events.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md. A request is

- a batch if its content type is application/cloudevents-batch+json,
- one event in structured mode if it is application/cloudevents+json,
- lines, each an event, if it is application/x-ndjson (or application/ndjson, application/jsonl),
- else one event in binary mode if it has `ce-specversion`.

A line that has no `specversion` is plain JSON: it becomes the `data` of an event whose attributes are the request's
`ce-*` headers where it has them, and made here where not: type `dev.skerry.plain`, source `/streams/NAME`. Its id is
made of the header `idempotency-key` and the line's number, so that sending the same request again makes duplicates;
without that header it is random, and a retry can't be told from a second event.
"""

import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

import msgspec

from skerry_edge.http.message import Request
from skerry_edge.ingest import cloudevent, json_shape, ordinary, plain
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.errors import Malformed, MalformedError, RefusedError
from skerry_edge.ingest.limits import MAX_EVENTS, MAX_KEY_CHARACTERS, MAX_RAW_EVENT, MAX_SHARED_ATTRIBUTES

BATCH = "application/cloudevents-batch+json"
STRUCTURED = "application/cloudevents+json"
LINES = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})
_PREFIX = "ce-"
_MAX_IDEMPOTENCY_KEY = MAX_KEY_CHARACTERS - 16

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")
_PRINTABLE = re.compile(r"[\x20-\x7e]*")
_BROKEN_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")

_decode_list = msgspec.json.Decoder(list[msgspec.Raw]).decode


def read_events(request: Request, stream: str) -> list[Event | Malformed]:
    """Events of a request for a stream, in order, each with its own verdict.

    Raises RefusedError if the request as a whole can't be read (415, 413), and MalformedError if its body is no batch.
    """
    content_type = request.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    if media_type == STRUCTURED:
        _require_utf8(content_type)
        return _read_all([request.body], lambda raw, _: cloudevent.from_json(raw))
    if media_type == BATCH:
        _require_utf8(content_type)
        return _read_all(_split_batch(request.body), lambda raw, _: cloudevent.from_json(raw))
    if media_type in LINES:
        _require_utf8(content_type)
        return _read_lines(request, stream)
    if media_type.startswith("application/cloudevents"):
        raise _unsupported(media_type)
    if "ce-specversion" in request.headers:
        return [_attempt(lambda: _read_binary(request), request.body)]
    raise _unsupported(media_type)


def header_attributes(headers: Mapping[str, str]) -> dict[str, str]:
    """Attributes that came as `ce-*` headers, percent-decoded. Raises MalformedError."""
    return {
        name.removeprefix(_PREFIX): decode_header(value) for name, value in headers.items() if name.startswith(_PREFIX)
    }


def decode_header(value: str) -> str:
    """Undo double quotes, which older producers use, then one round of percent-encoding (binding, section 3.1.3.2).

    Raises MalformedError.
    """
    if _PRINTABLE.fullmatch(value) is None:
        raise MalformedError("InvalidHeader", "ce- headers are printable ASCII, all else is percent-encoded")
    quoted = _QUOTED.fullmatch(value.strip(" "))
    text = _ESCAPED.sub(r"\1", quoted[1]) if quoted is not None else value.strip(" ")
    if _BROKEN_PERCENT.search(text) is not None:
        raise MalformedError("InvalidHeader", "a % in a ce- header needs two hexadecimal digits behind it")
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError as error:
        raise MalformedError("InvalidHeader", "a ce- header is percent-encoded UTF-8") from error


def _read_binary(request: Request) -> Event:
    attributes = header_attributes(request.headers)
    if "datacontenttype" in attributes:
        raise MalformedError("InvalidHeader", "the type of data is the content-type header's, not ce-datacontenttype")
    if content_type := request.headers.get("content-type"):
        attributes["datacontenttype"] = content_type.strip()
    return cloudevent.from_bytes(attributes, request.body)


def _split_batch(body: bytes) -> list[bytes]:
    try:
        events = _decode_list(body)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise MalformedError("InvalidJson", f"a batch must be a JSON array: {str(error)[:200]}") from error
    _require_few(len(events))
    return [bytes(raw) for raw in events]


def _read_lines(request: Request, stream: str) -> list[Event | Malformed]:
    _require_few(request.body.count(b"\n"))
    lines = [line for line in request.body.split(b"\n") if line.strip()]
    given = header_attributes(request.headers)
    given.pop("id", None)
    if sum(len(name) + len(value) for name, value in given.items()) > MAX_SHARED_ATTRIBUTES:
        message = f"ce- headers for all lines may have at most {MAX_SHARED_ATTRIBUTES} characters"
        raise MalformedError("InvalidHeader", message)
    attributes = {"source": f"/streams/{stream}", **given}
    key = decode_header(request.headers.get("idempotency-key", ""))
    if len(key) > _MAX_IDEMPOTENCY_KEY:
        raise MalformedError("InvalidHeader", f"idempotency-key may have at most {_MAX_IDEMPOTENCY_KEY} characters")

    def read(line: bytes, number: int) -> Event:
        values, members = json_shape.decode_object(line)
        if "specversion" in values:
            return cloudevent.from_members(values, members)
        made = f"{key}-{number}" if key else secrets.token_hex(16)
        return plain.wrap(line, attributes, made, given_id=bool(key))

    return _read_all(lines, read)


def _read_all(raws: Sequence[bytes], read: Callable[[bytes, int], Event]) -> list[Event | Malformed]:
    """Events of JSON texts; `read` gets what isn't ordinary, with its number."""
    return [
        _attempt(partial(read, raw, number), raw) if event is None else event
        for number, (raw, event) in enumerate(zip(raws, ordinary.read_all(raws), strict=True))
    ]


def _attempt(read: Callable[[], Event], original: bytes) -> Event | Malformed:
    if len(original) > MAX_RAW_EVENT:
        return Malformed("TooLarge", f"an event may have at most {MAX_RAW_EVENT} bytes as it is sent", original)
    try:
        return read()
    except MalformedError as error:
        return Malformed(error.reason, str(error), original)


def _require_utf8(content_type: str) -> None:
    """JSON between systems is UTF-8 (RFC 8259, section 8.1)."""
    found = re.search(r'charset\s*=\s*"?([^\s";]+)', content_type, re.IGNORECASE)
    if found is not None and found[1].lower() not in {"utf-8", "utf8"}:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedCharset", "send UTF-8")


def _require_few(count: int) -> None:
    if count > MAX_EVENTS:
        raise RefusedError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "TooManyEvents", f"a request may have at most {MAX_EVENTS} events"
        )


def _unsupported(media_type: str) -> RefusedError:
    return RefusedError(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "UnsupportedMediaType",
        f"{media_type[:100] or 'no content type'}: send {STRUCTURED}, {BATCH}, application/x-ndjson, or ce-* headers",
    )
