"""One version of a set as it is computed here: states in memory, what isn't committed yet, and readings.

One thread applies and commits; any may read. A reading stays until its time or until an event of its entity comes.
"""

import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from skerry_core.features.apply import RawEvents
from skerry_core.features.normalize import Refusal
from skerry_core.features.read import Reading
from skerry_core.features.vector import Vector
from skerry_edge.events.follow import Place
from skerry_edge.features.clock import Clock, Moments, anchor_of, moment
from skerry_edge.features.note import NO_ANCHOR, Adopted, EntityRecord, fit
from skerry_edge.features.ports import Engine, State, StoreDamagedError, Subjects

# Of encoded states that are held decoded as well, by version; and readings.
HOT_BYTES = 16 << 20
MAX_READINGS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Live:
    """An entity's state, and when its newest event was received; see EntityRecord and `clock`."""

    state: State
    received: int
    anchor: int | None
    same_boot: bool = True


@dataclass(frozen=True, slots=True)
class EntityReading:
    """What an entity's features are at the moment `now` (µs); events up to `applied` are in it.

    Of `computed`, values and statuses hold for `now`, but for Recency; `whole` is as of `now` in every respect. If
    another node's snapshot was `adopted`, its events may be in it, too.
    """

    engine: Engine
    computed: Reading
    now: int
    applied: Place
    vectors: dict[tuple[str, ...], Vector] = field(default_factory=dict)
    adopted: Adopted | None = None

    def vector(self, names: tuple[str, ...]) -> Vector:
        """These features as a row of a model's input; made once for all readings that `computed` holds for."""
        if not self.engine.recency.isdisjoint(names):
            return self.engine.vector(self.whole, names)
        found = self.vectors.get(names)
        if found is None:
            found = self.vectors[names] = self.engine.vector(self.computed, names)
        return found

    @property
    def whole(self) -> Reading:
        return self.engine.at(self.computed, self.now)

    @property
    def since(self) -> int:
        """Where the longest window begins (µs)."""
        return self.now - self.engine.reach


@dataclass
class Counts:
    """Since the process began."""

    applied: int = 0
    late: int = 0
    undecided: int = 0
    evicted: int = 0
    purged: int = 0
    letters_lost: int = 0

    def __post_init__(self) -> None:
        self.refused: Counter[str] = Counter()


class Version:
    """See the module."""

    def __init__(
        self,
        digest: str,
        engine: Engine,
        *,
        clock: Clock,
        boot: int,
        get: Callable[[bytes], EntityRecord | None],
        kept: Mapping[bytes, int] | None = None,
        hot_bytes: int = HOT_BYTES,
        adopted: Adopted | None = None,
    ) -> None:
        """`kept` has the sizes of the entities that `get` finds, those with no event for longest first."""
        self.digest = digest
        self.engine = engine
        self.counts = Counts()
        self.applied = Place()
        self.newest_received = 0
        self.adopted = adopted
        self._clock = clock
        self._boot = boot
        self._get = get
        self._hot_bytes = hot_bytes
        # In the order of their newest events: the first are the next to go.
        self._sizes: dict[bytes, int] = dict(kept or {})
        self._bytes = sum(self._sizes.values())
        self._hot: dict[bytes, Live] = {}
        self._dirty: dict[bytes, Live | None] = {}
        self._readings: dict[bytes, tuple[Live, Reading, dict[tuple[str, ...], Vector]]] = {}
        self._lock = threading.Lock()

    @property
    def entities(self) -> int:
        return len(self._sizes)

    @property
    def size(self) -> int:
        """Bytes of encoded states, as of the last commit."""
        return self._bytes

    @property
    def dirty(self) -> int:
        """Entities that a commit would write."""
        return len(self._dirty)

    # By the one thread that applies

    def resume(self, position: Mapping[str, int], received: int) -> None:
        """Say where a process before this one was, and when the newest event of its states was received."""
        if position:
            epoch, seq = list(position.items())[-1]
            self.applied, self.newest_received = Place(epoch, seq - 1), received

    def get(self, key: bytes, /) -> State | None:
        """An entity's state, or None."""
        live = self._live(fit(key))
        return None if live is None else live.state

    def apply(self, events: RawEvents, behind: Place, now: Moments, followed: int | None) -> Sequence[Refusal]:
        """Apply events up to the place `behind`; what is refused.

        All of them were received by one run of the node's clock. `followed` is the uptime at which the log was last
        seen to end before them; None if it never was.
        """
        received = int(events.received[-1])
        anchor = anchor_of(received, now, followed)
        # Half of the work, for which no reader has to wait.
        taken = self.engine.take(events)
        with self._lock:
            result = self.engine.apply(taken, self)
            for key, state in result.changed.items():
                name = fit(key)
                self._hot.pop(name, None)
                self._hot[name] = self._dirty[name] = Live(state, received, anchor)
                self._readings.pop(name, None)
                self._sizes[name] = self._sizes.pop(name, 0)
            self.applied, self.newest_received = behind, received
            self._evict(len(self._sizes) - self.engine.document.limits.max_entities)
        self.counts.applied += len(events.bodies)
        self.counts.late += result.late
        self.counts.undecided += result.undecided
        self.counts.refused.update(refusal.reason for refusal in result.refused)
        return result.refused

    def purge(self, subjects: Subjects) -> int:
        """Forget all entities whose state may be made of events of these; how many there were."""
        with self._lock:
            names = [name for name in self._sizes if self.engine.may_be_of(name, subjects)]
            for name in names:
                self._forget(name)
        self.counts.purged += len(names)
        return len(names)

    def pending(self) -> dict[bytes, EntityRecord | None]:
        """What a commit is to write; within max_bytes afterwards."""
        records = {name: self._encoded(live) for name, live in self._dirty.items()}
        for name, record in records.items():
            if record is not None:
                self._bytes += record.size - self._sizes[name]
                self._sizes[name] = record.size
        with self._lock:
            while self._bytes > self.engine.document.limits.max_bytes and len(self._sizes) > 1:
                self._evict(1)
        return {name: records.get(name) if live is not None else None for name, live in self._dirty.items()}

    def committed(self) -> None:
        """All of `pending` is kept now; forget decoded states beyond what may be held."""
        with self._lock:
            self._dirty = {}
            held = sum(self._sizes[name] for name in self._hot)
            while held > self._hot_bytes and self._hot:
                name = next(iter(self._hot))
                held -= self._sizes[name]
                del self._hot[name]

    # By any thread

    def read(self, entity: Sequence[str]) -> EntityReading:
        """Read an entity's features; cheap as long as its panes haven't moved.

        Raises StoreDamagedError, and ValueError for parts that are no key.
        """
        name = fit(self.engine.key(entity))
        found = self._readings.get(name)
        if found is not None:
            live, computed, vectors = found
            now = self._moment(live)
            if now < computed.until_us:
                return EntityReading(self.engine, computed, now, self.applied, vectors, self.adopted)
        return self._compute(name)

    def _compute(self, name: bytes) -> EntityReading:
        with self._lock:
            live, applied = self._live(name), self.applied
            if live is None:
                now = self._clock.read().wall
                return EntityReading(self.engine, self.engine.read(None, now), now, applied)
            now = self._moment(live)
            computed = self.engine.read(live.state, now)
            if len(self._readings) >= MAX_READINGS:
                self._readings.pop(next(iter(self._readings)))
            vectors: dict[tuple[str, ...], Vector] = {}
            self._readings[name] = (live, computed, vectors)
        return EntityReading(self.engine, computed, now, applied, vectors, self.adopted)

    def _moment(self, live: Live) -> int:
        if live.anchor is not None and live.same_boot:
            return live.received + max(self._clock.uptime() - live.anchor, 0) * 1000
        return moment(live.received, live.anchor, same_boot=live.same_boot, now=self._clock.read())

    def _live(self, name: bytes) -> Live | None:
        if name in self._dirty:
            return self._dirty[name]
        live = self._hot.get(name)
        if live is not None or name not in self._sizes:
            return live
        record = self._get(name)
        if record is None:
            return None
        anchor = None if record.anchor == NO_ANCHOR else record.anchor
        try:
            state = self.engine.decode(record.state)
        except ValueError as error:
            raise StoreDamagedError(f"a state of {self.digest} can't be read: {error}") from error
        return Live(state, record.received, anchor, same_boot=record.boot == self._boot)

    def _encoded(self, live: Live | None) -> EntityRecord | None:
        if live is None:
            return None
        anchor = NO_ANCHOR if live.anchor is None else live.anchor
        return EntityRecord(self.engine.encode(live.state), live.received, anchor, self._boot)

    def _evict(self, count: int) -> None:
        """Forget the entities with no event for longest; called with the lock held."""
        for name in list(islice(self._sizes, max(count, 0))):
            self._forget(name)
            self.counts.evicted += 1

    def _forget(self, name: bytes) -> None:
        self._bytes -= self._sizes.pop(name)
        self._hot.pop(name, None)
        self._readings.pop(name, None)
        self._dirty[name] = None
