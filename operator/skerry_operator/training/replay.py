"""Vectors of entity rows by a replay of one node's log after the other. Pure: rows and events in, vectors out.

An entity's state depends on its own events alone, and not on batches. So a chunk's events are computed at once: those
between two rows of an entity make a stretch, and each stretch a state of its own; these are absorbed one after the
other, and the rows read in between. That is the same, bit for bit, as event by event, and many times faster.

Where the clock fell back, what is kept of an entity depends on its events one by one: such a chunk is worked off in
waves, first what every entity has before its first row, then what comes before the second rows, and so on.

Memory holds the states of entities that have rows yet to come, and one chunk.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from skerry_core.features.apply import Applied, RawEvents, Taken, apply, partials, take
from skerry_core.features.columns import Floats, Integers, Mask
from skerry_core.features.normalize import Normalizer
from skerry_core.features.plan import Plan
from skerry_core.features.read import read
from skerry_core.features.state import EntityState, tolerance
from skerry_core.features.vector import vector, width
from skerry_operator.training.rows import EntityRows, Node

_END = (1 << 63) - 1


@dataclass(frozen=True)
class Chunk:
    """Events of one node's logs, in order: by when they were received, or by their logs' numbers.

    `covered` is there where consent is needed: whether an event may be trained on.
    """

    node: Node
    bodies: Sequence[bytes]
    time: Integers
    received: Integers
    seq: Integers
    epochs: Sequence[str]
    covered: Mask | None = None


@dataclass
class Counts:
    """What came of the events of the rows' entities."""

    events: int = 0
    late: int = 0
    refused: int = 0
    undecided: int = 0
    without_consent: int = 0

    def add(self, other: "Counts") -> None:
        """Those of another part of the work, too."""
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Vectors:
    """For n rows: float64 [n, width], which features gave their default or are rejected [n, features].

    `kept` [n] is False where events without consent would have been in the vector. `seen` [n]: an event was.
    """

    values: Floats
    defaulted: Mask
    rejected: Mask
    kept: Mask
    seen: Mask
    counts: Counts = field(default_factory=Counts)

    @classmethod
    def empty(cls, plan: Plan, names: Sequence[str], rows: int) -> "Vectors":
        """Before anything is read."""
        flags = (rows, len(names))
        return cls(
            np.empty((rows, width(plan, names))),
            np.zeros(flags, np.bool_),
            np.zeros(flags, np.bool_),
            np.ones(rows, np.bool_),
            np.zeros(rows, np.bool_),
        )

    def put(self, at: Integers, part: "Vectors") -> None:
        """Take over what was found for some of the rows."""
        self.values[at], self.defaulted[at], self.rejected[at] = part.values, part.defaulted, part.rejected
        self.kept[at], self.seen[at] = part.kept, part.seen
        self.counts.add(part.counts)


def replay(plan: Plan, names: Sequence[str], rows: EntityRows, chunks: Iterable[Chunk]) -> Vectors:
    """Each row's vector as its node served it at the row's time: by the events that it had received, read at that time.

    `names` are the vector's features. Chunks of a node come after each other.
    """
    found = Vectors.empty(plan, names, len(rows))
    by_node: dict[Node, list[int]] = {}
    for row, node in enumerate(rows.nodes):
        by_node.setdefault(node, []).append(row)
    log: _Log | None = None
    for chunk in chunks:
        if log is None or log.node != chunk.node:
            if log is not None:
                log.finish()
            log = _Log(plan, names, rows, by_node.pop(chunk.node, []), found, chunk.node)
        log.take(chunk)
    if log is not None:
        log.finish()
    for node, left in by_node.items():
        _Log(plan, names, rows, left, found, node).finish()
    return found


def reach(plan: Plan) -> int:
    """How long before a row's time an event can have been received that its vector depends on, in µs."""
    return max(max(2 * each.size, each.ttl) + plan.panes[each.pane].length for each in plan.features) + plan.lateness


@dataclass
class _Group:
    """Rows that wait for one log, or for a time: `marks` ascend, `at` is the first that isn't done."""

    rows: list[int]
    marks: Integers
    at: int = 0
    begun: bool = False

    def until(self, mark: int) -> list[int]:
        """The next rows up to a mark."""
        start, self.at = self.at, max(self.at, int(np.searchsorted(self.marks, mark, "right")))
        return self.rows[start : self.at]


@dataclass(frozen=True)
class _Stretches:
    """Events of a chunk by `keys` and `places` in it, and rows, each with its stretch.

    A stretch's row is read after its events. Of an entity, stretches ascend; `waves` is how many one has at most.
    """

    keys: Sequence[bytes]
    places: Integers
    stretch: Integers
    reads: Integers
    rows: Sequence[int]
    waves: int


class _Log:
    """One node's rows and states."""

    def __init__(
        self, plan: Plan, names: Sequence[str], rows: EntityRows, mine: list[int], found: Vectors, node: Node
    ) -> None:
        self.node = node
        self._plan = plan
        # What is read of a state: the features that are asked for.
        self._asked = replace(plan, features=tuple(plan.by_name[name] for name in names))
        self._names = list(names)
        self._places = {name: place for place, name in enumerate(names)}
        self._rows = rows
        self._found = found
        self._states: dict[bytes, EntityState] = {}
        # Times of the newest events of each entity that were left out for want of consent.
        self._left_out: dict[bytes, int] = {}
        self._reach = reach(plan)
        # The latest that an event was received yet.
        self._clock = -_END
        # Only the entity of each event: most events are of entities that no row asks for.
        self._entities = Normalizer.compile(plan.document.entities, ())
        self._waiting: dict[bytes, int] = {}
        for row in mine:
            key = rows.keys[row]
            self._waiting[key] = self._waiting.get(key, 0) + 1
        self._groups = _groups(rows, mine)
        self._taken = False
        if rows.epochs is not None:
            # Served before anything was applied.
            for row in self._groups.pop("", _Group([], rows.times[:0])).rows:
                self._read(row)

    def take(self, chunk: Chunk) -> None:
        """Apply a chunk, and read the rows that are due in it."""
        due, places = self._due(chunk)
        self._work(chunk, due, places)

    def finish(self) -> None:
        """Read the rows that are left: there are no more events."""
        for epoch, group in self._groups.items():
            for row in group.rows[group.at :]:
                self._read(row)
                if epoch and not group.begun and self._taken:
                    # Nothing of the log that the row is as of was seen: whether it came first can't be told.
                    self._found.kept[row] = False
            group.at = len(group.rows)

    def _due(self, chunk: Chunk) -> tuple[list[int], list[int]]:
        """Rows that no later chunk adds anything to, and for each how many of the chunk's events are before it."""
        self._taken = True
        if self._rows.epochs is None:
            group = self._groups[""]
            # More may come that was received at the very time of the chunk's last event.
            rows = group.until(int(chunk.received[-1]) - 1)
            places = np.searchsorted(chunk.received, self._rows.times[rows], "right")
            return rows, places.tolist()
        assert self._rows.seqs is not None
        due: list[int] = []
        places_by_log: list[int] = []
        epochs = np.array(chunk.epochs, dtype=object)
        for epoch, group in self._groups.items():
            index = np.flatnonzero(epochs == epoch)
            end = 0
            if len(index):
                group.begun = True
                end = int(index[-1]) + 1
                seqs = chunk.seq[index]
                rows = group.until(int(seqs[-1]))
                before = np.searchsorted(seqs, self._rows.seqs[rows], "right")
                due += rows
                places_by_log += np.append(index, end)[before].tolist()
            if group.begun and end < len(epochs):
                # The node's next log has begun, so nothing more comes of this one.
                rows = group.until(_END)
                due += rows
                places_by_log += [end] * len(rows)
        return due, places_by_log

    def _work(self, chunk: Chunk, due: list[int], places: list[int]) -> None:
        mine = self._mine(chunk)
        numbers: dict[bytes, int] = {}
        event_entity = np.array([numbers.setdefault(key, len(numbers)) for _, key in mine], np.int64)
        event_place = np.array([place for place, _ in mine], np.int64)
        row_entity = np.array([numbers.setdefault(self._rows.keys[row], len(numbers)) for row in due], np.int64)
        span = len(chunk.bodies) + 1
        code = row_entity * span + np.array(places, np.int64)
        order = np.argsort(code, kind="stable")
        code = code[order]
        begins = np.searchsorted(code, np.arange(len(numbers), dtype=np.int64) * span)
        rank = np.arange(len(code)) - begins[row_entity[order]] if len(code) else np.empty(0, np.int64)
        wave = np.searchsorted(code, event_entity * span + event_place, "right") - begins[event_entity]
        # What comes after an entity's last row is of no use to anybody.
        left = np.array([self._waiting.get(key, 0) for key in numbers], np.int64)
        here = np.bincount(row_entity, minlength=len(numbers))
        last = np.where(left > here, len(code), here - 1)
        used = np.flatnonzero(wave <= last[event_entity])
        waves = int(max(wave[used].max(initial=-1), rank.max(initial=-1))) + 1
        # Of a row and of the events before it, one number; entities after each other.
        stretch = event_entity[used] * waves + wave[used]
        reads = row_entity[order] * waves + rank
        rows = [due[place] for place in order.tolist()]
        own = _Stretches([mine[event][1] for event in used.tolist()], event_place[used], stretch, reads, rows, waves)
        if self._steady(chunk.received[own.places]):
            self._at_once(chunk, own)
        else:
            self._in_waves(chunk, own)

    def _steady(self, received: Integers) -> bool:
        """Whether the clock never fell back so far that it matters what is kept of an entity from event to event."""
        latest = np.maximum.accumulate(np.append(self._clock, received))
        self._clock = int(latest[-1])
        return bool((received + tolerance(self._plan) >= latest[:-1]).all())

    def _at_once(self, chunk: Chunk, own: "_Stretches") -> None:
        left_out, own = self._consenting(chunk, own)
        parts = self._parts(chunk, own)
        rows = dict(zip(own.reads.tolist(), own.rows, strict=True))
        for stretch in sorted({*left_out, *parts, *rows}):
            for key, time in left_out.get(stretch, {}).items():
                self._leave_out(key, time)
            if stretch in parts:
                key, part, clock = parts[stretch]
                self._states.setdefault(key, EntityState.empty(self._plan)).absorb(self._plan, part, clock)
            if stretch in rows:
                self._read(rows[stretch])

    def _in_waves(self, chunk: Chunk, own: "_Stretches") -> None:
        left_out, own = self._consenting(chunk, own)
        wave, reads = own.stretch % own.waves, own.reads % own.waves
        for number in range(own.waves):
            for stretch, times in left_out.items():
                if stretch % own.waves == number:
                    for key, time in times.items():
                        self._leave_out(key, time)
            at = np.flatnonzero(wave == number)
            if len(at):
                self._count(apply(self._plan, _raw(chunk, own.places[at]), self._states), len(at))
            for place in np.flatnonzero(reads == number).tolist():
                self._read(own.rows[place])

    def _parts(self, chunk: Chunk, own: "_Stretches") -> dict[int, tuple[bytes, EntityState, int]]:
        """By stretch whose it is, the state of its events alone, and when the last one was received."""
        if not len(own.places):
            return {}
        taken = take(self._plan, _raw(chunk, own.places))
        self._count(taken, len(own.places))
        stretches, owner = np.unique(own.stretch[taken.rows], return_inverse=True)
        clocks = np.full(len(stretches), -_END)
        np.maximum.at(clocks, owner, taken.received)
        keys = dict(zip(owner.tolist(), taken.keys, strict=True))
        states = partials(self._plan, taken, owner, len(stretches))
        return {
            stretch: (keys[number], states[number], clock)
            for number, (stretch, clock) in enumerate(zip(stretches.tolist(), clocks.tolist(), strict=True))
        }

    def _consenting(self, chunk: Chunk, own: "_Stretches") -> tuple[dict[int, dict[bytes, int]], "_Stretches"]:
        """By stretch the times of the newest events without consent, and the stretches without these."""
        if chunk.covered is None:
            return {}, own
        covered = chunk.covered[own.places]
        left_out: dict[int, dict[bytes, int]] = {}
        for at in np.flatnonzero(~covered).tolist():
            place, key = int(own.places[at]), own.keys[at]
            time = min(int(chunk.time[place]), int(chunk.received[place]))
            times = left_out.setdefault(int(own.stretch[at]), {})
            times[key] = max(times.get(key, time), time)
        self._found.counts.without_consent += int((~covered).sum())
        keys = [key for key, yes in zip(own.keys, covered.tolist(), strict=True) if yes]
        return left_out, replace(own, keys=keys, places=own.places[covered], stretch=own.stretch[covered])

    def _leave_out(self, key: bytes, time: int) -> None:
        self._left_out[key] = max(self._left_out.get(key, time), time)

    def _count(self, of: Applied | Taken, events: int) -> None:
        counts = self._found.counts
        counts.events += events
        counts.late += of.late
        counts.refused += len(of.refusals)
        counts.undecided += of.undecided

    def _mine(self, chunk: Chunk) -> list[tuple[int, bytes]]:
        """Events of entities that rows yet to come ask for: place in the chunk and key."""
        normalized = self._entities.normalize(chunk.bodies)
        waiting = self._waiting
        return [
            (place, key) for place, key in zip(normalized.rows, normalized.keys, strict=True) if waiting.get(key, 0)
        ]

    def _read(self, row: int) -> None:
        key, now = self._rows.keys[row], int(self._rows.times[row])
        state = self._states.get(key)
        made = vector(self._asked, read(self._asked, state, now), self._names)
        found = self._found
        found.values[row] = made.values
        for names, flags in ((made.defaulted, found.defaulted), (made.rejected, found.rejected)):
            for name in names:
                flags[row, self._places[name]] = True
        found.seen[row] = state is not None
        found.kept[row] = self._left_out.get(key, now - self._reach - 1) < now - self._reach
        self._waiting[key] -= 1
        if not self._waiting[key]:
            del self._waiting[key]
            self._states.pop(key, None)
            self._left_out.pop(key, None)


def _raw(chunk: Chunk, places: Integers) -> RawEvents:
    return RawEvents([chunk.bodies[place] for place in places.tolist()], chunk.time[places], chunk.received[places])


def _groups(rows: EntityRows, mine: list[int]) -> dict[str, _Group]:
    if rows.epochs is None or rows.seqs is None:
        marks = rows.times[mine]
        order = np.argsort(marks, kind="stable")
        return {"": _Group([mine[place] for place in order.tolist()], marks[order])}
    by_epoch: dict[str, list[int]] = {}
    for row in mine:
        by_epoch.setdefault(rows.epochs[row], []).append(row)
    groups = {}
    for epoch, own in by_epoch.items():
        own.sort(key=lambda row: int(rows.seqs[row]))  # type: ignore[index]
        groups[epoch] = _Group(own, rows.seqs[own])
    return groups
