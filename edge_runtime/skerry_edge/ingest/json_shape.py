"""JSON from outside, decoded within bounds of depth, number of values and size of numbers."""

import re
from typing import Any

import msgspec

from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.limits import MAX_DEPTH, MAX_VALUES

# One that doesn't end matches too: else every quote in it would be tried as a start, each to the end.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_INNERMOST = re.compile(rb"\[\]|\{\}")
# Nineteen digits may be more than 64 bits hold, and an exponent of three, or of a plus and two, more than floats hold.
# Looked for like this, with all digits made alike, it takes a tenth of what a regex takes.
_ALIKE = bytes.maketrans(b"123456789+E", b"0000000000e")
_LONG_NUMBER = b"0" * 19
_LARGE_EXPONENT = b"e000"
_MIN_INT, _MAX_INT = -(1 << 63), (1 << 64) - 1

_decode = msgspec.json.Decoder().decode
_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def decode_value(raw: bytes | memoryview) -> Any:
    """Decode any JSON value. Raises MalformedError `InvalidJson`, `TooDeep` or `TooManyValues`."""
    data = bytes(raw)
    _check_shape(data)
    return decode_small(data)


def is_small(data: bytes) -> bool:
    """Whether decoding surely costs little: counting bytes is cheap and never too low."""
    opening = data.count(b"[") + data.count(b"{")
    # Every value takes a byte; and it is the first of its array or object, or follows a comma.
    return opening <= MAX_DEPTH and (len(data) < MAX_VALUES or data.count(b",") + opening < MAX_VALUES)


def decode_small(data: bytes) -> Any:
    """As `decode_value`, of what is known to be small."""
    try:
        value = _decode(data)
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise _not_json(error) from error
    if _LONG_NUMBER in data.translate(_ALIKE):
        _check_numbers(value)
    return value


def check_skipped(data: bytes) -> None:
    """Raise what `decode_small` raises, of JSON that a decoder has skipped over (msgspec.Raw).

    It has seen all that may be wrong but characters, in other text than ASCII or escaped, and the size of numbers.
    """
    alike = data.translate(_ALIKE)
    if not data.isascii() or b"\\" in data or _LONG_NUMBER in alike or _LARGE_EXPONENT in alike:
        decode_small(data)


def decode_object(raw: bytes | memoryview) -> tuple[dict[str, Any], dict[str, msgspec.Raw]]:
    """Decode a JSON object: its members, and their bytes as they came. Raises MalformedError as `decode_value`."""
    value = decode_value(raw)
    if not isinstance(value, dict):
        raise MalformedError("NotAnObject", "an event must be a JSON object")
    return value, _decode_members(raw)


def compact(raw: bytes | memoryview) -> bytes:
    """Valid JSON without white space between its tokens; tokens stay as they are written."""
    return msgspec.json.format(bytes(raw), indent=-1)


def _not_json(error: Exception) -> MalformedError:
    return MalformedError("InvalidJson", f"not JSON: {str(error)[:200]}")


def _check_shape(data: bytes) -> None:
    """Bound what decoding can cost; only doubtful cases are looked into."""
    if is_small(data):
        return
    bare = _STRINGS.sub(b"", data)
    opening = bare.count(b"[") + bare.count(b"{")
    if bare.count(b",") + opening >= MAX_VALUES:
        raise MalformedError("TooManyValues", f"an event may have at most {MAX_VALUES} values")
    brackets = bare.translate(None, delete=_ALL_BUT_BRACKETS)
    for _ in range(MAX_DEPTH):
        peeled = _INNERMOST.sub(b"", brackets)
        if len(peeled) == len(brackets):
            break
        brackets = peeled
    if brackets:
        raise MalformedError("TooDeep", f"an event may be nested {MAX_DEPTH} deep at most, and its brackets must match")


def _check_numbers(value: Any) -> None:
    rest = [value]
    while rest:
        found = rest.pop()
        if isinstance(found, dict):
            rest.extend(found.values())
        elif isinstance(found, list):
            rest.extend(found)
        elif isinstance(found, int) and not _MIN_INT <= found <= _MAX_INT:
            raise MalformedError("InvalidJson", "not JSON that every reader understands: an integer beyond 64 bits")
