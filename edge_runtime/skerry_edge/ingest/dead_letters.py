"""The stream `dead-letter`: what was malformed, why, and how it came; so that somebody can mend the producer.

A record's body is a CloudEvent of type `dev.skerry.dead-letter` whose data has `stream`, `reason`, `message`, `origin`
(`http:` and the client's address, `mqtt:` and the topic, or `features:` and the set that refuses it), `bytes` (the
length as it came), and the first 16 KiB as `text`, or as `base64` where they are not UTF-8. Ingest writes letters at a
bounded rate and doesn't wait for them: none of them was acknowledged, and a storm of malformed events must cost nothing
but a counter.
"""

import secrets
import threading
from base64 import b64encode
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from skerry_core.batch.flags import Flags
from skerry_edge.events.record import MAX_BODY, NewRecord
from skerry_edge.ingest.cloudevent import JSON, SPEC_VERSION
from skerry_edge.ingest.errors import Malformed
from skerry_edge.ingest.limits import DEAD_LETTER_BURST, DEAD_LETTER_BYTES, DEAD_LETTER_RATE
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.rates import Bucket, Rate, full, refilled, spent

TYPE = "dev.skerry.dead-letter"
_RATE = Rate(DEAD_LETTER_RATE, DEAD_LETTER_BURST)
# What the other members take beside the text.
_ROOM = 4096

_encode = msgspec.json.Encoder().encode


class LetterLog(Protocol):
    """What the log must do for records that nobody waits for."""

    def append_soon(self, make: Callable[[int], NewRecord]) -> int | None:
        """Write a record, durable a little later; None if the disk refuses."""
        ...


class DeadLetters:
    """Writes dead letters, once `log` is there; used by several threads."""

    def __init__(self, time: NodeTime, steady: Callable[[], float], lost: Callable[[int], None]) -> None:
        """`lost` counts letters that found no room or came too fast."""
        self.log: LetterLog | None = None
        self._time = time
        self._steady = steady
        self._lost = lost
        self._bucket: Bucket = full(_RATE, steady())
        self._lock = threading.Lock()

    def put(self, stream: str, malformed: Sequence[tuple[str, Malformed]]) -> None:
        """Keep what was refused, each with its origin, as far as rate and room allow."""
        log = self.log
        kept = malformed[: self._admitted(len(malformed))] if log is not None else ()
        failed = 0
        for origin, letter in kept:
            reading = self._time.read()
            flags = Flags.TIME_MISSING | (Flags.CLOCK_SUSPECT if reading.suspect else Flags.NONE)
            record = NewRecord(encode_letter(stream, origin, letter), reading.received, reading.received, flags)
            failed += log is None or log.append_soon(_always(record)) is None
        if lost := len(malformed) - len(kept) + failed:
            self._lost(lost)

    def _admitted(self, count: int) -> int:
        with self._lock:
            bucket = refilled(self._bucket, _RATE, self._steady())
            admitted = min(count, int(bucket.tokens))
            self._bucket = spent(bucket, admitted)
        return admitted


def _always(record: NewRecord) -> Callable[[int], NewRecord]:
    return lambda _: record


def encode_letter(stream: str, origin: str, letter: Malformed, identity: str | None = None) -> bytes:
    """The body of a dead letter, at most MAX_BODY long; its id is `identity`, or like no other's."""
    head = letter.original[:DEAD_LETTER_BYTES]
    data: dict[str, str | int] = {
        "stream": stream,
        "reason": letter.reason,
        "message": letter.message[:512],
        "origin": origin[:1024],
        "bytes": len(letter.original),
    }
    text = _text(head, whole=len(head) == len(letter.original))
    if text is not None and len(_encode(text)) <= MAX_BODY - 2 * _ROOM:
        data["text"] = text
    else:
        data["base64"] = b64encode(head).decode()
    return _encode(
        {
            "specversion": SPEC_VERSION,
            "id": identity or secrets.token_hex(16),
            "source": f"/streams/{stream}",
            "type": TYPE,
            "datacontenttype": JSON,
            "data": data,
        }
    )


def _text(head: bytes, *, whole: bool) -> str | None:
    """The bytes as text; a character that the cut went through is left out."""
    for end in (len(head), *(() if whole else (len(head) - 1, len(head) - 2, len(head) - 3))):
        try:
            return head[:end].decode()
        except UnicodeDecodeError:
            continue
    return None
