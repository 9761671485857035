"""Statistics over the numbers that Aggregate rules take out of a stream's records, by windows of ingest time. Pure."""

import hashlib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from skerry_api.v1alpha1.syncpolicy import Statistic
from skerry_core.batch.contents import LogName
from skerry_core.sync_policy.document import Aggregate
from skerry_edge.events.record import NewRecord
from skerry_edge.ingest.rfc3339 import format_time

TYPE = "dev.skerry.aggregate"
# How long behind its end a window waits for records on their way into the log, in µs.
GRACE = 5_000_000
# Of one path: more come only of clocks that jump; then the oldest is closed.
MAX_OPEN = 64
_EXACT = 2**53

_encode = msgspec.json.Encoder().encode


class Window(msgspec.Struct, frozen=True):
    """A path's numbers of one window, which begins at `start` and is `width` long, in µs.

    `first` names the record that opened it, so that one which is opened again, when its time comes twice, is another.
    """

    path: str
    start: int
    width: int
    first: str
    records: int
    count: int
    total: int | float
    least: int | float
    greatest: int | float

    @property
    def end(self) -> int:
        """Where the next one begins."""
        return self.start + self.width

    def joined(self, values: Sequence[int | float]) -> "Window":
        """With the numbers of one more record."""
        return Window(
            self.path,
            self.start,
            self.width,
            self.first,
            self.records + 1,
            self.count + len(values),
            self.total + sum(values),
            min(self.least, *values),
            max(self.greatest, *values),
        )


@dataclass(frozen=True)
class Values:
    """Numbers of one record, by path; `received` in µs since 1970."""

    seq: int
    received: int
    numbers: Mapping[str, Sequence[int | float]]


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
            "start": format_time(window.start),
            "seconds": window.width / 1_000_000,
            **statistics(window, self.aggregate.statistics),
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


def statistics(window: Window, wanted: Iterable[Statistic]) -> Mapping[str, int | float]:
    """What is told of a window; a number that a double can't tell exactly, or at all, isn't."""
    values = {
        Statistic.COUNT: window.count,
        Statistic.SUM: window.total,
        Statistic.MEAN: _mean(window),
        Statistic.MIN: window.least,
        Statistic.MAX: window.greatest,
    }
    return {statistic.value.lower(): values[statistic] for statistic in wanted if _tellable(values[statistic])}


def fold(
    windows: Iterable[Window], epoch: str, records: Iterable[Values], width: Callable[[str], int]
) -> tuple[Window, ...]:
    """Windows after further records of the log `epoch`; `width` tells the µs of a path's windows."""
    held = {(window.path, window.start): window for window in windows}
    for record in records:
        for path, numbers in record.numbers.items():
            start = record.received // width(path) * width(path)
            window = held.get((path, start))
            if window is None:
                first = numbers[0]
                window = Window(path, start, width(path), f"{epoch}/{record.seq}", 0, 0, 0, first, first)
            held[path, start] = window.joined(numbers)
    return tuple(held.values())


def close(windows: Sequence[Window], until: int) -> tuple[tuple[Window, ...], tuple[Window, ...]]:
    """Windows that are over at `until`, and those still open."""
    kept: list[Window] = []
    over: list[Window] = []
    places: dict[str, int] = {}
    for window in sorted(windows, key=lambda window: window.start, reverse=True):
        places[window.path] = places.get(window.path, 0) + 1
        (over if window.end + GRACE <= until or places[window.path] > MAX_OPEN else kept).append(window)
    return tuple(sorted(over, key=_order)), tuple(sorted(kept, key=_order))


def _order(window: Window) -> tuple[int, str]:
    return window.start, window.path


def _mean(window: Window) -> float:
    try:
        return window.total / window.count
    except OverflowError:
        return math.inf


def _tellable(value: float) -> bool:
    return abs(value) < _EXACT if isinstance(value, int) else math.isfinite(value)
