"""What the parts of the feature store ask of each other.

`State` is one entity's state, which only the engine (`skerry_core.features`) looks into. States are never changed in
place once they were given out: a batch makes new ones, so a request reads on while the next batch is applied.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from skerry_core.errors import RetryError, WaitError
from skerry_core.features.definition import FeatureSetDocument
from skerry_edge.events.record import Microseconds
from skerry_edge.features.note import EntityRecord, VersionNote

State: TypeAlias = Any


@dataclass(frozen=True, eq=False)
class RawEvents:
    """Events in the order of their log; `time` and `received` in µs since 1970 [n]."""

    bodies: Sequence[bytes]
    time: Microseconds
    received: Microseconds


@dataclass(frozen=True, slots=True)
class Refusal:
    """Event `index` of a batch is refused; `reason` is one CamelCase word."""

    index: int
    reason: str
    message: str


@dataclass(frozen=True)
class Applied:
    """What came of a batch: the new states by entity's key; `late` events were left out."""

    changed: Mapping[bytes, State]
    refused: Sequence[Refusal] = ()
    late: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    """One feature as read: `status` in Feast's words, `value` None but for PRESENT, `newest` its newest event's time.

    Times in µs since 1970; `newest` is None where there is no event.
    """

    name: str
    status: str
    value: float | tuple[float, ...] | None
    newest: int | None


@dataclass(frozen=True, slots=True)
class Computed:
    """All features of an entity in the set's order; the same until the time `until` if no event comes.

    `since` is where the longest window begins.
    """

    values: tuple[Value, ...]
    until: int
    since: int


class Engine(Protocol):
    """One version of a set, compiled. Pure; threads share it."""

    @property
    def document(self) -> FeatureSetDocument: ...

    def key(self, entity: Sequence[str]) -> bytes:
        """Key of the entity with these parts, in the set's order."""
        ...

    def apply(self, events: RawEvents, states: "StateSource") -> Applied: ...

    def encode(self, state: State) -> bytes: ...

    def decode(self, data: bytes) -> State:
        """Raises ValueError for bytes that are no state of this version."""
        ...

    def read(self, state: State | None, now: int) -> Computed: ...


class StateSource(Protocol):
    """States before a batch, by entity's key."""

    def get(self, key: bytes, /) -> State | None: ...


@dataclass(frozen=True)
class Change:
    """What a commit writes of one version: its note, and entities that are new, other (or None: gone)."""

    digest: str
    note: VersionNote
    entities: Mapping[bytes, EntityRecord | None]


class Store(Protocol):
    """Keeps versions of sets. One thread commits; any may `get`."""

    def notes(self) -> dict[str, VersionNote]:
        """By digest, every version that is kept. Raises StoreDamagedError."""
        ...

    def entities(self, digest: str) -> Iterator[tuple[bytes, EntityRecord]]:
        """All entities of a version by their keys. Raises StoreDamagedError."""
        ...

    def get(self, digest: str, key: bytes) -> EntityRecord | None:
        """Raises StoreDamagedError."""
        ...

    def commit(self, changes: Sequence[Change]) -> None:
        """All of it or nothing, and power-safe. Raises StoreDamagedError, StoreFullError."""
        ...

    def drop(self, digest: str) -> None:
        """Forget a version. Raises StoreDamagedError, StoreFullError."""
        ...

    def size(self) -> int:
        """Bytes on disk."""
        ...

    def checked(self) -> None:
        """All of it was read without harm."""
        ...

    def close(self) -> None: ...


class StoreDamagedError(RetryError):
    """What is kept can't be read: it is put aside, and built again from the logs."""

    def __init__(self, message: str) -> None:
        super().__init__("FeatureStoreDamaged", message)


class StoreFullError(WaitError):
    """The disk, or the store's own limit, has no room: nothing was written."""

    def __init__(self, message: str) -> None:
        super().__init__("FeatureStoreFull", message)
