"""A process's figures as of one moment, and what came between two of them. Pure.

A process that begins anew counts from 0 again. That is told by its run's name, never by the size of a number.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from skerry_edge.telemetry.catalogue import COUNTS, PROCESS_COUNTS, Life

# The name of a signal, then the values of its labels; of a duration the last is the bucket's index.
Key = tuple[str, ...]
_OF_LOGS = frozenset(count.name for count in COUNTS if count.life is Life.LOG)
_ALONE = frozenset(count.name for count in PROCESS_COUNTS)


@dataclass(frozen=True)
class Measures:
    """`run` names the run of the process. `epochs` are those of its logs by stream, `tiers` their tiers' ranks.

    `counts` only grow as long as the run (or their log) is the same; `levels` are as of now.
    """

    run: str
    counts: Mapping[Key, float] = field(default_factory=dict)
    levels: Mapping[Key, float] = field(default_factory=dict)
    epochs: Mapping[str, str] = field(default_factory=dict)
    tiers: Mapping[str, int] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "run": self.run,
            "counts": [[*key, value] for key, value in self.counts.items()],
            "levels": [[*key, value] for key, value in self.levels.items()],
            "epochs": dict(self.epochs),
            "tiers": dict(self.tiers),
        }

    @classmethod
    def from_wire(cls, wire: Mapping[str, Any]) -> "Measures":
        """What `to_wire` gave. Raises KeyError, TypeError or ValueError for anything else."""
        return cls(
            str(wire["run"]),
            {tuple(map(str, key)): float(value) for *key, value in wire["counts"]},
            {tuple(map(str, key)): float(value) for *key, value in wire["levels"]},
            {str(stream): str(epoch) for stream, epoch in wire["epochs"].items()},
            {str(stream): int(tier) for stream, tier in wire["tiers"].items()},
        )


@dataclass(frozen=True)
class Snapshot:
    """Every process's figures, by its name, at `wall` (µs since 1970) and `uptime` (ms since boot `boot`).

    A process that didn't answer isn't in `processes`.
    """

    wall: int
    uptime: int
    boot: str
    processes: Mapping[str, Measures]

    def carrying(self, before: "Snapshot") -> "Snapshot":
        """With the earlier figures of processes that don't answer now: what they count meanwhile comes later."""
        return Snapshot(self.wall, self.uptime, self.boot, {**before.processes, **self.processes})

    def seconds_since(self, before: "Snapshot") -> float | None:
        """Time that passed, whatever happened to the wall clock; None over a reboot."""
        return (self.uptime - before.uptime) / 1000 if self.boot == before.boot else None

    def levels(self) -> dict[Key, float]:
        """The levels of all processes together."""
        return {key: value for measures in self.processes.values() for key, value in measures.levels.items()}

    def tiers(self) -> dict[str, int]:
        """The rank of each stream's tier."""
        return {stream: tier for measures in self.processes.values() for stream, tier in measures.tiers.items()}


def growth(before: Measures | None, after: Measures) -> dict[Key, float]:
    """By how much each count grew; counts of a new run, and those of a new log, by all they have."""
    same_run = before is not None and before.run == after.run
    grown: dict[Key, float] = {}
    for key, value in after.counts.items():
        known = 0.0
        if before is not None:
            if key[0] in _OF_LOGS:
                stream = key[1]
                if before.epochs.get(stream) == after.epochs.get(stream):
                    known = before.counts.get(key, 0.0)
            elif same_run:
                known = before.counts.get(key, 0.0)
        if value > known:
            grown[key] = value - known
    return grown


def total_growth(before: Mapping[str, Measures], after: Mapping[str, Measures]) -> dict[Key, float]:
    """The growth of all processes' counts together; what a process says of itself alone is not in it."""
    summed: dict[Key, float] = {}
    for process, measures in after.items():
        for key, value in growth(before.get(process), measures).items():
            if key[0] not in _ALONE:
                summed[key] = summed.get(key, 0.0) + value
    return summed
