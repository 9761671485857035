"""The values of a batch's bodies, turned from rows to columns: a tree that follows the shape of the JSON.

Each node holds the values that rows (or the elements of lists) have at one place. Of one type they are an array; of
several, a `Mixed` says which row's value is of which, missing and null being types as well.
"""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.texts import Texts

MISSING = object()  # a key that a row's object does not have


@dataclass(frozen=True, slots=True)
class Missing:
    count: int


@dataclass(frozen=True, slots=True)
class Null:
    count: int


@dataclass(frozen=True, slots=True)
class Bools:
    values: NDArray[np.bool_]

    @property
    def count(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Ints:
    values: NDArray[np.int64]

    @property
    def count(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Floats:
    """Doubles; those marked `whole` were written as integers, which a double holds exactly."""

    values: NDArray[np.float64]
    whole: NDArray[np.bool_] | None = None

    @property
    def count(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Strings:
    texts: Texts

    @property
    def count(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Json:
    """Values that are not worth a column of their own, each as JSON text."""

    texts: Texts

    @property
    def count(self) -> int:
        return len(self.texts)


@dataclass(frozen=True, slots=True)
class Object:
    """Objects, by member: every member has an entry for every object."""

    count: int
    members: "tuple[tuple[str, Node], ...]"


@dataclass(frozen=True, slots=True)
class Array:
    """Arrays of one length, by place: every item has an entry for every array."""

    count: int
    items: "tuple[Node, ...]"


@dataclass(frozen=True, slots=True)
class Lists:
    """Arrays of any lengths [count]; `elements` are those of all arrays, one after another."""

    lengths: NDArray[np.int64]
    elements: "Node"

    @property
    def count(self) -> int:
        return len(self.lengths)


@dataclass(frozen=True, slots=True)
class Mixed:
    """Value i is the next one of parts[tags[i]]."""

    tags: NDArray[np.int64]
    parts: "tuple[Node, ...]"

    @property
    def count(self) -> int:
        return len(self.tags)


Node: TypeAlias = Missing | Null | Bools | Ints | Floats | Strings | Json | Object | Array | Lists | Mixed
