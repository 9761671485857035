"""What a node did between two moments, in a kilobyte or two. Pure.

Everything counted is the difference to the summary before, so whoever adds up a node's summaries gets its totals.
Totals by signal are always whole. The breakdown `by` is bounded: what doesn't fit is one entry of each signal, with
`…` in place of its labels. Nothing here comes from a payload: names are those of streams, models, modules, and reasons.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from skerry_edge.telemetry.catalogue import COUNTS, DURATIONS, PROCESS_COUNTS, PROCESS_LEVELS, TIERS
from skerry_edge.telemetry.measures import Key, Measures, Snapshot, growth, total_growth
from skerry_edge.telemetry.sketch import Sketch, to_wire

MAX_BYTES = 2112
REST = "…"
# How much of the lists is told, and in how many buckets a sketch, from all to the least; the first that fits is taken.
_FITS = ((24, 24), (12, 16), (6, 12), (3, 8), (1, 6), (0, 4), (0, 2))
_MAX_LABEL = 64
_DIGITS = 3
_DISK = {"free": "diskFree", "capacity": "diskCapacity"}
_QUEUE = {"records": "queueRecords", "bytes": "queueBytes", "oldest": "queueOldest"}

Number = int | float


@dataclass(frozen=True)
class Window:
    """Number of the summary, counted up by one each, and its time: µs since 1970, and the seconds that really passed.

    `seconds` is None if the machine was started anew in between. `start` is where the window before ended, unless the
    clock was set back since.
    """

    number: int
    start: int
    end: int
    seconds: float | None


@dataclass(frozen=True)
class ProcessSummary:
    """One process: whether it answered, whether it had begun anew, and what it used."""

    up: bool
    restarted: bool
    figures: Mapping[str, Number]


@dataclass(frozen=True)
class Summary:
    """`counts` by signal and labels; `sketches` by signal and labels; `queue`, by rank of the tier, as of the end."""

    window: Window
    processes: Mapping[str, ProcessSummary]
    counts: Mapping[Key, int]
    sketches: Mapping[Key, Sketch]
    queue: Mapping[str, Sequence[int]]
    disk: Mapping[str, int]
    logs: Sequence[tuple[str, int, int]]


def summarize(before: Snapshot, after: Snapshot, number: int) -> Summary:
    """What came between two snapshots, of which the later has only the processes that answered."""
    levels = after.carrying(before).levels()
    counts: Counter[Key] = Counter()
    sketches: defaultdict[Key, Counter[int]] = defaultdict(Counter)
    durations = {duration.name for duration in DURATIONS}
    for key, value in total_growth(before.processes, after.processes).items():
        if key[0] in durations:
            sketches[key[:-1]][int(key[-1])] += round(value)
        else:
            counts[key] += round(value)
    return Summary(
        window=Window(number, min(before.wall, after.wall), after.wall, after.seconds_since(before)),
        processes={
            name: _process(before.processes.get(name), after.processes.get(name))
            for name in sorted(before.processes.keys() | after.processes.keys())
        },
        counts=counts,
        sketches=sketches,
        queue={name: [round(levels.get((key, tier), 0)) for tier in TIERS] for name, key in _QUEUE.items()},
        disk={name: round(levels[key,]) for name, key in _DISK.items() if (key,) in levels},
        logs=sorted(
            (
                (key[1], round(value), round(levels.get(("logLimit", key[1]), 0)))
                for key, value in levels.items()
                if key[0] == "logBytes"
            ),
            key=lambda log: -log[1],
        ),
    )


def encode(summary: Summary) -> bytes:
    """The summary as the JSON of an event's `data`: MAX_BYTES at most, as long as no count is above a billion."""
    encoded = b""
    for items, buckets in _FITS:
        encoded = msgspec.json.encode(_wire(summary, items, buckets))
        if len(encoded) <= MAX_BYTES:
            break
    return encoded


def moment(micros: int) -> str:
    """A time in µs since 1970 as RFC 3339."""
    return datetime.fromtimestamp(micros / 1e6, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _process(before: Measures | None, after: Measures | None) -> ProcessSummary:
    if after is None:
        return ProcessSummary(up=False, restarted=False, figures={})
    grown = growth(before, after)
    figures: dict[str, Number] = {count.name: round(grown.get((count.name,), 0.0), _DIGITS) for count in PROCESS_COUNTS}
    for level in PROCESS_LEVELS:
        if (level.name,) in after.levels:
            figures[level.name] = round(after.levels[level.name,])
    return ProcessSummary(up=True, restarted=before is not None and before.run != after.run, figures=figures)


def _wire(summary: Summary, items: int, buckets: int) -> dict[str, Any]:
    window = summary.window
    wire: dict[str, Any] = {
        "window": {
            "number": window.number,
            "start": moment(window.start),
            "end": moment(window.end),
            "seconds": window.seconds,
        },
        "counts": _totals(summary.counts),
        "sketches": {},
        "queue": summary.queue,
        "disk": summary.disk,
    }
    for name, process in summary.processes.items():
        wire[name] = {"up": process.up, "restarted": process.restarted, **process.figures}
    # An empty list would leave a table's first guess at what its column holds to chance.
    if by := _breakdown(summary.counts, items):
        wire["by"] = by
    if logs := [[name[:_MAX_LABEL], size, limit] for name, size, limit in summary.logs[:items]]:
        wire["logs"] = logs
    for (name, *labels), sketch in sorted(summary.sketches.items()):
        numbers = to_wire(sketch, buckets)
        if numbers:
            _nested(wire["sketches"], name, labels, numbers)
    return wire


def _nested(told: dict[str, Any], name: str, labels: Sequence[str], numbers: Sequence[int]) -> None:
    """Put a sketch where its name and labels say; the only labels are tiers, so there are few."""
    for label in labels:
        told, name = told.setdefault(name, {}), label
    told[name] = numbers


def _totals(counts: Mapping[Key, int]) -> dict[str, int]:
    totals: Counter[str] = Counter()
    for key, value in counts.items():
        totals[key[0]] += value
    return {name: value for name, value in totals.items() if value}


def _breakdown(counts: Mapping[Key, int], items: int) -> list[list[str | int]]:
    """The largest `items` of each signal, the more important signals first, and their rest."""
    told: list[list[str | int]] = []
    for count in COUNTS if items else ():
        found = [(value, key[1:]) for key, value in counts.items() if key[0] == count.name and key[1:] and value]
        found.sort(key=lambda item: (-item[0], item[1]))
        told += [[count.name, *(label[:_MAX_LABEL] for label in labels), value] for value, labels in found[:items]]
        rest = sum(value for value, _ in found[items:])
        if rest:
            told.append([count.name, REST, rest])
    return told
