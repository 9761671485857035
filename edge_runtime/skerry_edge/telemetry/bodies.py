"""The node's own telemetry as CloudEvents: records of the stream `telemetry`.

Every type has its version in its name. A summary's `time` is the end of its window, an overrun's when it began or
ended, so what arrives late after an outage still says when it was.
"""

import secrets
from typing import Any

import msgspec

from skerry_core.batch.flags import Flags
from skerry_edge.events.record import NewRecord
from skerry_edge.telemetry.incidents import SHED, Begun, Ended, Overrun
from skerry_edge.telemetry.overrun import Limit
from skerry_edge.telemetry.summary import Summary, encode, moment

SUMMARY = "dev.skerry.telemetry.v1"
OVERRUN_STARTED = "dev.skerry.overrun.started.v1"
OVERRUN_ENDED = "dev.skerry.overrun.ended.v1"
_SOURCE = "/skerry/node"


class Envelope(msgspec.Struct, frozen=True):
    """A CloudEvent of ours in the JSON format."""

    type: str
    time: str
    data: msgspec.Raw
    id: str
    specversion: str = "1.0"
    source: str = _SOURCE
    datacontenttype: str = "application/json"


def summary_record(summary: Summary, flags: Flags) -> NewRecord:
    """A summary as the log takes it."""
    return _record(SUMMARY, summary.window.end, summary.window.end, encode(summary), flags)


def overrun_record(event: Begun | Ended, now: int, flags: Flags) -> NewRecord:
    """A begun or ended overrun as the log takes it, at `now` in µs since 1970."""
    if isinstance(event, Begun):
        return _record(OVERRUN_STARTED, event.overrun.start, now, msgspec.json.encode(_told(event.overrun)), flags)
    told = _told(event.overrun) | {
        "end": moment(event.end),
        "seconds": (event.end - event.overrun.start) / 1e6,
        "endLevel": round(event.level),
        "worst": round(event.overrun.worst),
        "shed": {name: event.overrun.tally.get(name, 0) for name in SHED},
        "freedBytes": event.overrun.tally.get("freedBytes", 0),
        "uploadedRecords": event.overrun.tally.get("uploadedRecords", 0),
        "remedy": " ".join(event.remedies),
    }
    return _record(OVERRUN_ENDED, event.end, now, msgspec.json.encode(told), flags)


def event_id(body: bytes) -> str:
    """The id of a record made here, wherever it is read again; empty for any other body."""
    try:
        return msgspec.json.decode(body, type=Envelope).id
    except msgspec.DecodeError:
        return ""


def _told(overrun: Overrun) -> dict[str, Any]:
    subject = overrun.subject
    told = {
        "overrun": f"{subject.limit}/{subject.name}/{overrun.start}",
        "limit": subject.limit.value,
        ("stream" if subject.limit is Limit.STREAM_FULL else "tier"): subject.name,
        "start": moment(overrun.start),
        "level": round(overrun.level),
        "bound": round(overrun.bound),
        "cause": " ".join(overrun.causes),
    }
    return told | {"takers": overrun.takers} if overrun.takers else told


def _record(kind: str, time: int, received: int, data: bytes, flags: Flags) -> NewRecord:
    envelope = Envelope(kind, moment(time), msgspec.Raw(data), secrets.token_hex(8))
    return NewRecord(msgspec.json.encode(envelope), time, received, flags)
