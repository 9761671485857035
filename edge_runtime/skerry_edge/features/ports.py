"""What the parts of the feature store ask of each other.

`State` is one entity's state, which only the engine (`skerry_core.features`) looks into, and which it changes in place;
`Taken` is a batch of events on the way into states, which only the engine looks into, too.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from skerry_core.errors import RetryError, WaitError
from skerry_core.features.apply import RawEvents
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.normalize import Refusal
from skerry_core.features.read import Reading
from skerry_core.features.vector import Vector
from skerry_edge.events.follow import Place
from skerry_edge.features.note import EntityRecord, VersionNote

State: TypeAlias = Any
Taken: TypeAlias = Any


@dataclass(frozen=True)
class Applied:
    """What came of a batch: the states by entity's key that are other now; `late` events were left out."""

    changed: Mapping[bytes, State]
    refused: Sequence[Refusal] = ()
    late: int = 0
    undecided: int = 0


class Subjects(Protocol):
    """Some entities, perhaps told by what stands for them."""

    def __contains__(self, name: object, /) -> bool: ...

    def __len__(self) -> int: ...


class Engine(Protocol):
    """One version of a set, compiled. Pure; threads share it."""

    @property
    def document(self) -> FeatureSetDocument: ...

    def key(self, entity: Sequence[str]) -> bytes:
        """Key of the entity with these parts, in the set's order. ValueError with a reason for what is no key."""
        ...

    def may_be_of(self, key: bytes, subjects: Subjects) -> bool:
        """Whether an entity's state may be made of events of any of these (CloudEvents' `subject`, else `source`).

        True for all keys where the set's key doesn't tell.
        """
        ...

    @property
    def by_subject(self) -> bool:
        """Whether the key tells the subject."""
        ...

    def take(self, events: RawEvents) -> Taken:
        """Do with a batch what needs no states."""
        ...

    def apply(self, taken: Taken, states: "StateSource") -> Applied:
        """Apply a batch; states that it asks for are changed in place."""
        ...

    def encode(self, state: State) -> bytes: ...

    def decode(self, data: bytes) -> State:
        """Raises ValueError for bytes that are no state of this version."""
        ...

    def merge(self, one: State, other: State, now: int) -> State:
        """The state of all events of both, none of which may be in the other; `now` in µs."""
        ...

    def read(self, state: State | None, now: int) -> Reading: ...

    def at(self, reading: Reading, now: int) -> Reading:
        """The reading as of `now`, before its `until_us`: with the ages and the Recency of that moment."""
        ...

    def vector(self, reading: Reading, names: Sequence[str]) -> Vector: ...

    @property
    def recency(self) -> frozenset[str]:
        """Features whose values are other at every moment."""
        ...

    @property
    def reach(self) -> int:
        """Length of the longest window in µs."""
        ...


class Withdrawals(Protocol):
    """Whose events were redacted in a stream; see `skerry_edge.ingest.withdrawals`."""

    def __call__(self, stream: str, data_class: str, done: Place, /) -> tuple[str, Place, Subjects]:
        """Entities since `done`, the data class, and the place up to which that is all. Raises OSError."""
        ...


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

    def at_rest(self, digest: str) -> AbstractContextManager[tuple[VersionNote, Iterator[tuple[bytes, EntityRecord]]]]:
        """A version's note and entities, as of one commit, while others go on; any thread may ask.

        Raises KeyError for a version that isn't kept, StoreDamagedError.
        """
        ...

    def load(
        self,
        digest: str,
        note: VersionNote,
        entities: Callable[[], Iterator[tuple[bytes, EntityRecord]]],
        merged: Callable[[EntityRecord, EntityRecord], EntityRecord] | None = None,
    ) -> None:
        """Replace a version's note and entities, all of it or nothing; `entities` may be called more than once.

        With `merged`, entities are added, and what is there of one becomes `merged(kept, other)`. Raises as `commit`
        does, and what `entities` and `merged` raise.
        """
        ...

    def drop(self, digest: str) -> None:
        """Forget a version. Raises StoreDamagedError, StoreFullError."""
        ...

    def size(self) -> int:
        """Bytes on disk."""
        ...

    def note_purge(self) -> None:
        """Durably note that of what the next commits drop no bytes may stay on the disk. Raises OSError."""
        ...

    @property
    def purge_noted(self) -> bool:
        """Whether `scrub` has something to do."""
        ...

    def scrub(self) -> None:
        """Leave no bytes of what was dropped or replaced. Raises OSError, StoreDamagedError, StoreFullError."""
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
