"""Open windows of rollups, and which of them are over. Pure.

A window is of event time: of each series a stretch as long as the stream's `rollupWindow`, aligned to 1970. It is told
when the stretch of ingest time is over in which its first record came, so what comes late is told once a stretch, as a
window of its own. States merge to the bit, so the hub puts them together, and each record is in exactly one of them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from typing import Any, NamedTuple

import msgspec
import numpy as np

from skerry_core.rollups.series import Series
from skerry_core.rollups.state import Shape, State, ValueKind, decode, encode, gather, merge

# How long behind its end a window waits for records on their way into the log, in µs.
GRACE = 5_000_000
# Of one stream in one stretch of ingest time: what opens more than that is left out, and counted.
MAX_OPENED = 10_000


class Key(NamedTuple):
    """Which window: its length in µs, by number the stretches of ingest time and of event time, and whose it is."""

    width: int
    ingest: int
    pane: int
    series: Series


class Part(msgspec.Struct, frozen=True, array_like=True):
    """What one entity has in a window; `since` is the hybrid logical time of its first record there."""

    since: int
    state: bytes


class Window(msgspec.Struct, frozen=True, array_like=True):
    """A series' values of one stretch of event time.

    `first` names the record that opened it, so that one which is opened again is another. `parts` are by entity, so
    that what an entity has here can be taken back; all in one where nobody need consent.
    """

    width: int
    ingest: int
    pane: int
    group: tuple[str, ...]
    path: str
    kind: ValueKind
    length: int
    first: str
    parts: dict[str, Part]

    @property
    def key(self) -> Key:
        """Which window it is."""
        return Key(self.width, self.ingest, self.pane, Series(self.group, self.path, self.kind, self.length))

    @property
    def state(self) -> State:
        """Of all parts, of which there is one at least."""
        return reduce(merge, (decode(part.state) for part in self.parts.values()))

    @property
    def size(self) -> int:
        """Bytes of it, about."""
        return _OWN_BYTES + sum(_OWN_BYTES + len(part.state) for part in self.parts.values())


_OWN_BYTES = 200


@dataclass(frozen=True, slots=True)
class Values:
    """One record's values by series; times in µs since 1970, `entity` what stands for it ("": all alike)."""

    seq: int
    time: int
    received: int
    values: Mapping[Series, Sequence[Any]]
    hlc: int = 0
    entity: str = ""


class Opened(msgspec.Struct, frozen=True, array_like=True):
    """How many parts were opened in the newest stretch of ingest time."""

    ingest: int = 0
    count: int = 0


@dataclass(frozen=True)
class Folded:
    """Windows after further records, and how many values were left out since too much was opened."""

    windows: Mapping[Key, Window]
    opened: Opened
    left_out: int = 0


@dataclass
class _Batch:
    """Values of one shape: `labels` says by number in `places` which part each goes to, `firsts` who opened that."""

    places: dict[tuple[Key, str], int] = field(default_factory=dict)
    firsts: list[tuple[str, int]] = field(default_factory=list)
    values: list[Any] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)

    def add(self, key: Key, record: Values, epoch: str, values: Sequence[Any], time: int) -> None:
        place = key, record.entity
        label = self.places.setdefault(place, len(self.places))
        if label == len(self.firsts):
            self.firsts.append((f"{epoch}/{record.seq}", record.hlc))
        self.values.extend(values)
        self.labels.extend([label] * len(values))
        self.times.extend([time] * len(values))

    def states(self, shape: Shape) -> Iterator[tuple[Key, str, str, int, State]]:
        """For each part: its window and entity, the record that opened it and when, and the new values' state."""
        states = gather(shape, self.values, np.array(self.labels), np.array(self.times))
        for (key, entity), (first, since), state in zip(self.places, self.firsts, states, strict=True):
            yield key, entity, first, since, state


def fold(windows: Mapping[Key, Window], opened: Opened, epoch: str, records: Iterable[Values], width: int) -> Folded:
    """Windows after further records of the log `epoch`; `width` is that of new ones, in µs. `windows` stays as it is.

    A record that says it happened after it came is taken as of when it came.
    """
    left_out = 0
    batches: dict[Shape, _Batch] = {}
    for record in records:
        ingest, time = record.received // width, min(record.time, record.received)
        # Earlier by more than what comes mixed: a clock was ahead, or windows are longer now.
        if ingest > opened.ingest or ingest < opened.ingest - 1:
            opened = Opened(ingest)
        for series, values in record.values.items():
            key = Key(width, ingest, time // width, series)
            batch = batches.setdefault(series.shape, _Batch())
            if (key, record.entity) not in batch.places and not _holds(windows.get(key), record.entity):
                if opened.count >= MAX_OPENED:
                    left_out += len(values)
                    continue
                opened = Opened(opened.ingest, opened.count + 1)
            batch.add(key, record, epoch, values, time)
    found = dict(windows)
    changed: dict[Key, dict[str, Part]] = {}
    for shape, batch in batches.items():
        for key, entity, first, since, state in batch.states(shape) if batch.values else ():
            if key not in changed:
                window = found.get(key)
                changed[key] = {} if window is None else dict(window.parts)
                found[key] = _window(key, window.first if window else first, changed[key])
            part = changed[key].get(entity)
            changed[key][entity] = _joined(part, state) if part is not None else Part(since, encode(state))
    return Folded(found, opened, left_out)


def _window(key: Key, first: str, parts: dict[str, Part]) -> Window:
    series = key.series
    return Window(key.width, key.ingest, key.pane, series.group, series.path, series.kind, series.length, first, parts)


def _joined(part: Part, state: State) -> Part:
    return Part(part.since, encode(merge(decode(part.state), state)))


def _holds(window: Window | None, entity: str) -> bool:
    return window is not None and entity in window.parts


def close(windows: Iterable[Window], until: int) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
    """Windows that are over at `until` (µs since 1970), and those still open.

    One that was opened by a clock that was ahead is over, too: nobody would come to end it.
    """
    kept: list[Window] = []
    over: list[Window] = []
    for window in windows:
        ended = (window.ingest + 1) * window.width + GRACE <= until
        (over if ended or window.ingest > until // window.width + 1 else kept).append(window)
    return tuple(over), tuple(kept)
