"""Dead letters hold what producers sent, as it came: of a stream with privacy rules, that doesn't leave this way."""

from collections.abc import Set as AbstractSet

import msgspec

from skerry_edge.sync.outbound.rules import UNREADABLE

# Of a letter's data (skerry_edge.ingest.dead_letters), what tells nothing about anybody.
_HARMLESS = ("stream", "reason", "bytes")

_decode = msgspec.json.Decoder(dict[str, object]).decode
_encode = msgspec.json.Encoder().encode


def blanked(body: bytes, unrestricted: AbstractSet[str]) -> bytes | None:
    """The letter as it is if it was for a stream that needs neither consent nor rules; else without what was sent.

    None if it can't be read.
    """
    try:
        letter = _decode(body)
        data = letter.get("data")
        if not isinstance(data, dict):
            return None
        if data.get("stream") not in unrestricted:
            data = {name: data[name] for name in _HARMLESS if name in data}
        return _encode({**letter, "data": data})
    except UNREADABLE:
        return None
