"""Statistics over the numbers that Aggregate rules take out of a stream's records, by windows of ingest time. Pure."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import msgspec
from msgspec.structs import replace

from skerry_api.v1alpha1.syncpolicy import Statistic
from skerry_core.batch.contents import LogName
from skerry_core.micros import rfc3339
from skerry_core.sync_policy.document import Aggregate
from skerry_edge.events.record import NewRecord

TYPE = "dev.skerry.aggregate"
# How long behind its end a window waits for records on their way into the log, in µs.
GRACE = 5_000_000
# Of one path: more come only where windows are a small part of GRACE; then the oldest is closed.
MAX_OPEN = 64
# Of all open windows of a stream: a quarter of a kilobyte each, in memory and in the file.
MAX_PARTS = 10_000
_EXACT = 2**53

_encode = msgspec.json.Encoder().encode


class Sums(msgspec.Struct, frozen=True):
    """Numbers of some records: `records` that have any, the `count` of numbers, their sum, the least, the greatest."""

    records: int
    count: int
    total: int | float
    least: int | float
    greatest: int | float

    @classmethod
    def of(cls, numbers: Sequence[int | float]) -> "Sums":
        """Of one record's numbers, at least one."""
        return cls(1, len(numbers), sum(numbers), min(numbers), max(numbers))

    def joined(self, other: "Sums") -> "Sums":
        """Of both."""
        return Sums(
            self.records + other.records,
            self.count + other.count,
            self.total + other.total,
            min(self.least, other.least),
            max(self.greatest, other.greatest),
        )


class Part(msgspec.Struct, frozen=True):
    """What one entity has in a window; `since` is the hybrid logical time of its first record there."""

    since: int
    sums: Sums


class Window(msgspec.Struct, frozen=True):
    """A path's numbers of one window, which begins at `start` and is `width` long, in µs.

    `first` names the record that opened it, so that one which is opened again, when its time comes twice, is another.
    `parts` are by entity, so that what an entity has here can be taken back; all in one where nobody need consent.
    """

    path: str
    start: int
    width: int
    first: str
    parts: dict[str, Part]

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + self.width

    @property
    def sums(self) -> Sums:
        """Of all parts, of which there is one at least."""
        return reduce(Sums.joined, (part.sums for part in self.parts.values()))


@dataclass(frozen=True)
class Values:
    """Numbers of one record, by path; `received` in µs since 1970, `entity` what stands for it ("": all alike)."""

    seq: int
    received: int
    numbers: Mapping[str, Sequence[int | float]]
    hlc: int = 0
    entity: str = ""


@dataclass(frozen=True)
class Told:
    """One closed window's statistics, ready to be appended to the stream `aggregates`."""

    log: LogName
    window: Window
    aggregate: Aggregate

    @property
    def id(self) -> str:
        """The same for the same window however often it is made."""
        window = self.window
        parts = (self.log.site, self.log.node, self.log.stream, window.path, str(window.start), str(window.width))
        return hashlib.sha256("\0".join(("skerry-aggregate", *parts, window.first)).encode()).hexdigest()[:32]

    def record(self, received: int) -> NewRecord:
        """As a CloudEvent, whose time is the window's end; `received` in µs since 1970."""
        window = self.window
        data = {
            "stream": self.log.stream,
            "path": window.path,
            "start": rfc3339(window.start),
            "seconds": window.width / 1_000_000,
            **statistics(window.sums, self.aggregate.statistics),
        }
        body = {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/sites/{self.log.site}/nodes/{self.log.node}",
            "type": TYPE,
            "subject": self.log.stream,
            "datacontenttype": "application/json",
            "data": data,
        }
        return NewRecord(_encode(body), window.end, received)


def statistics(sums: Sums, wanted: Iterable[Statistic]) -> Mapping[str, int | float]:
    """What is told of a window; a number that a double can't tell exactly, or at all, isn't."""
    values = {
        Statistic.COUNT: sums.count,
        Statistic.SUM: sums.total,
        Statistic.MEAN: _mean(sums),
        Statistic.MIN: sums.least,
        Statistic.MAX: sums.greatest,
    }
    return {statistic.value.lower(): values[statistic] for statistic in wanted if _tellable(values[statistic])}


@dataclass(frozen=True)
class Folded:
    """Windows after further records, and how many numbers were left out for want of room."""

    windows: tuple[Window, ...]
    left_out: int = 0


def fold(
    windows: Iterable[Window], epoch: str, records: Iterable[Values], width: Callable[[str], int], room: int = MAX_PARTS
) -> Folded:
    """Windows after further records of the log `epoch`; `width` tells the µs of a path's windows.

    They have at most `room` parts in all: an entity for which there is none is left out, since what can't be taken back
    mustn't go in.
    """
    held = {(window.path, window.start): replace(window, parts=dict(window.parts)) for window in windows}
    room -= sum(len(window.parts) for window in held.values())
    left_out = 0
    for record in records:
        for path, numbers in record.numbers.items():
            start = record.received // width(path) * width(path)
            window = held.get((path, start))
            part = None if window is None else window.parts.get(record.entity)
            if part is None and room <= 0:
                left_out += len(numbers)
                continue
            if window is None:
                window = held[path, start] = Window(path, start, width(path), f"{epoch}/{record.seq}", {})
            sums = Sums.of(numbers)
            if part is None:
                room -= 1
                window.parts[record.entity] = Part(record.hlc, sums)
            else:
                window.parts[record.entity] = Part(part.since, part.sums.joined(sums))
    return Folded(tuple(held.values()), left_out)


def close(windows: Sequence[Window], until: int) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
    """Windows that are over at `until`, and those still open.

    One that was opened by a clock that was ahead is over, too: it would take the room of others until then.
    """
    kept: list[Window] = []
    over: list[Window] = []
    places: dict[str, int] = {}
    for window in sorted(windows, key=lambda window: window.start, reverse=True):
        places[window.path] = places.get(window.path, 0) + 1
        ended = window.end + GRACE <= until or window.start > until + window.width + GRACE
        (over if ended or places[window.path] > MAX_OPEN else kept).append(window)
    return tuple(sorted(over, key=_order)), tuple(sorted(kept, key=_order))


def _order(window: Window) -> tuple[int, str]:
    return window.start, window.path


def _mean(sums: Sums) -> float:
    try:
        return sums.total / sums.count
    except OverflowError:
        return math.inf


def _tellable(value: float) -> bool:
    return abs(value) < _EXACT if isinstance(value, int) else math.isfinite(value)
