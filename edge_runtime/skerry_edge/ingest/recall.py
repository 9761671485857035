"""What a stream's log tells when its process starts: which producers' ids came last, and what time it was."""

from array import array
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from skerry_core.batch.flags import Flags
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import ColumnBatch
from skerry_edge.events.segment import segment_firsts, spans
from skerry_edge.ingest.mqtt.payload import parse_made_id
from skerry_edge.ingest.mqtt.redeliveries import REMEMBERED
from skerry_edge.ingest.seen_ids import id_key

_AT_ONCE = 4096


class _Identity(msgspec.Struct):
    source: str = ""
    id: str = ""


_decode = msgspec.json.Decoder(_Identity).decode


@dataclass(frozen=True)
class Recalled:
    """Keys of ids with their events' numbers and ages (µs before the newest record), oldest first.

    Every id of the log younger than `reach` (µs before the newest record) is among them. `latest` is the latest time
    by the node's clock in that part of the log, 0 if there is none. `messages` are packet identifiers and contents of
    plain messages from a broker.
    """

    keys: "array[int]"
    seqs: "array[int]"
    ages: "array[int]"
    reach: int
    latest: int
    messages: tuple[tuple[int, str], ...]


def recall(directory: Path, window: int, most: int) -> Recalled:
    """Read the log's tail: at most about `most` records, and none that came before the window (µs).

    Ids of records that were removed since, because sync had uploaded them and needed the room, are not remembered, and
    `reach` ends where they stood.
    Raises OSError.
    """
    parts: list[_Part] = []
    passed: list[array[int]] = []
    latest, age, newer = 0, 0, None
    count = 0
    segments = spans(segment_firsts(directory)) if directory.is_dir() else []
    for base, until in reversed(segments):
        part = _read_segment(directory, base, until)
        ages = array("q")
        for received in reversed(part.received):
            # Steps forward alone are time that passed: after a correction the newest records bear earlier times.
            age += 0 if newer is None else max(newer - received, 0)
            newer = received
            ages.append(age)
        ages.reverse()
        parts.append(part)
        passed.append(ages)
        latest = max([latest, *part.received])
        count += len(part.keys)
        if count >= most or age > window:
            break
    # Numbers begin at 1: a log whose first segment begins later has lost its oldest records.
    whole = len(parts) == len(segments) and all(base == 1 for base, _ in segments[:1])
    keys, seqs, ages = array("Q"), array("Q"), array("q")
    messages: deque[tuple[int, str]] = deque(maxlen=REMEMBERED)
    for part, part_ages in zip(reversed(parts), reversed(passed), strict=True):
        messages.extend(part.messages)
        for key, seq, old in zip(part.keys, part.seqs, part_ages, strict=True):
            if old <= window:
                keys.append(key)
                seqs.append(seq)
                ages.append(old)
    reach = window if whole else min(age, window)
    if len(keys) > most:
        reach = ages[-most]
    return Recalled(keys[-most:], seqs[-most:], ages[-most:], reach, latest, tuple(messages))


@dataclass(frozen=True)
class _Part:
    keys: "array[int]"
    seqs: "array[int]"
    received: "array[int]"
    messages: deque[tuple[int, str]]


def _read_segment(directory: Path, base: int, until: int) -> _Part:
    part = _Part(array("Q"), array("Q"), array("q"), deque(maxlen=REMEMBERED))
    for batch in _batches(directory, base, until):
        for record in batch.records():
            identity = _identity(record.body)
            if record.flags & Flags.REDACTED or not identity.id:
                continue
            part.keys.append(id_key(identity.source, identity.id))
            part.seqs.append(record.seq)
            part.received.append(record.received)
            if (made := parse_made_id(identity.source, identity.id)) is not None:
                part.messages.append(made)
    return part


def _batches(directory: Path, base: int, until: int) -> Iterator[ColumnBatch]:
    """Records of the segment that speaks for numbers from `base` to before `until`."""
    reader = LogReader(directory)
    at = base
    while batches := reader.read(at, _AT_ONCE):
        for batch in batches:
            if batch.first >= until:
                return
            yield batch
        at = batches[-1].last + 1


def _identity(body: bytes) -> _Identity:
    try:
        return _decode(body)
    except (msgspec.DecodeError, ValueError):
        return _Identity()
