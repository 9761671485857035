"""A batch as typed columns, for readers that build tables and never need the JSON of a row."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.contents import Absent, LogName


class Kind(StrEnum):
    """What a column's values are."""

    BOOL = "Bool"  # NDArray[bool]
    INT = "Int"  # NDArray[int64]
    FLOAT = "Float"  # NDArray[float64]; integers beside floats become floats, if that is exact
    STRING = "String"  # Strings
    INTS = "Ints"  # lists of integers: NDArray[int64] and offsets
    FLOATS = "Floats"  # lists of numbers: NDArray[float64] and offsets
    JSON = "Json"  # Strings, each the JSON of one value: other lists, integers beyond 64 bits, values of several types


@dataclass(frozen=True, slots=True)
class Strings:
    """Texts as UTF-8 in one piece: the i-th is data[offsets[i]:offsets[i + 1]].

    With `codes` (int64) these are the distinct texts and row i has the text number codes[i]; without, row i has text i.
    """

    offsets: NDArray[np.int64]
    data: bytes
    codes: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class Column:
    """All values at one path of the bodies: one entry a row, with a filler where `valid` is False.

    `valid` None: every row has a value. JSON null and a missing key are both not valid. `offsets` (rows + 1, int64) is
    set for lists only: row i has values[offsets[i]:offsets[i + 1]]. A path ends at the first list. Objects are not
    columns, their members are; an object without members anywhere is not seen here.
    """

    path: tuple[str, ...]
    kind: Kind
    values: NDArray[np.bool_] | NDArray[np.int64] | NDArray[np.float64] | Strings
    valid: NDArray[np.bool_] | None = None
    offsets: NDArray[np.int64] | None = None


@dataclass(frozen=True, slots=True)
class ColumnarBatch:
    """A batch without its bodies' text. `time` and `received` in µs since 1970 UTC.

    `odd` are bodies that could not be read as a JSON object (row number, bytes as they were logged); no column is
    valid in their rows.
    """

    log: LogName
    after: int
    last: int
    absent: tuple[Absent, ...]
    seq: NDArray[np.int64]
    hlc: NDArray[np.uint64]
    time: NDArray[np.int64]
    received: NDArray[np.int64]
    flags: NDArray[np.uint16]
    columns: tuple[Column, ...]
    odd: tuple[tuple[int, bytes], ...] = ()

    def __len__(self) -> int:
        return len(self.seq)
