"""Columns: what accumulators read of a batch of events, and how its rows fall into groups."""

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Integers: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


class ColumnKind(StrEnum):
    """What a column's values are: nothing but that they are there, finite numbers, identities, or vectors."""

    PRESENCE = "Presence"
    NUMBER = "Number"
    IDENTITY = "Identity"
    VECTOR = "Vector"


@dataclass(frozen=True)
class ColumnPlan:
    """One column, shared by all features with the same value, filter and kind. `length` is a vector's.

    `derived` says that it is made with reference data: of what the site knows of its devices.
    """

    kind: ColumnKind
    value: str | None
    filter: str | None
    length: int = 0
    derived: bool = False


@dataclass(frozen=True)
class Column:
    """A column of n rows: `values` is float64 [n], uint64 hashes [n] or float64 [n, length], by its kind.

    Rows outside `mask` (None: all rows count) hold nothing of meaning. `as_of` is int64 [n] in microseconds, of what is
    derived from reference data: how far each row is up to date.
    """

    values: NDArray[Any] | None
    mask: Mask | None
    as_of: Integers | None = None


@dataclass(frozen=True)
class Groups:
    """The rows of a column that count, sorted by group: group `ids[i]` is `rows[starts[i]:starts[i + 1]]`.

    `time` is that of all rows of the batch, by row number.
    """

    rows: Integers
    starts: Integers
    ids: Integers
    time: Integers

    @cached_property
    def sizes(self) -> Integers:
        """How many rows each group has."""
        ends = np.empty_like(self.starts)
        ends[:-1] = self.starts[1:]
        ends[-1:] = len(self.rows)
        return ends - self.starts

    @cached_property
    def labels(self) -> Integers:
        """Position in `ids` of each of `rows`."""
        return np.repeat(np.arange(len(self.starts), dtype=np.int64), self.sizes)


def group(labels: Integers, order: Integers, mask: Mask | None, time: Integers) -> Groups:
    """Groups of the rows in `mask`; `labels` is each row's group, and `order` sorts the rows by it."""
    rows = order if mask is None else order[mask[order]]
    if not len(rows):
        return Groups(rows, np.empty(0, np.int64), np.empty(0, np.int64), time)
    sorted_labels = labels[rows]
    starts = np.flatnonzero(np.concatenate(([True], sorted_labels[1:] != sorted_labels[:-1])))
    return Groups(rows, starts, sorted_labels[starts], time)
