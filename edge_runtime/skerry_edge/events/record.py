"""What a log takes and what it gives back: single records on the way in, columns on the way out."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from skerry_core.batch.flags import Flags

# Bytes of one body. INGEST's limits are lower or equal; nothing longer can be read back.
MAX_BODY = 1 << 16
# The first number that a log ever gives out.
FIRST_SEQ = 1
# What is left of a body that was redacted.
BLANK = b"{}"


class NewRecord(msgspec.Struct, frozen=True, gc=False):
    """A record to append. `body` is one JSON object in UTF-8 of at most MAX_BODY bytes.

    `time` is when it happened, in microseconds since 1970 UTC, as its producer says (`received` if that says nothing);
    `received` is when it came in, by the node's clock.
    """

    body: bytes
    time: int
    received: int
    flags: Flags = Flags.NONE


@dataclass(frozen=True, slots=True)
class Record:
    """A stored record; `hlc` is its hybrid logical time (see skerry_edge.events.clock)."""

    seq: int
    hlc: int
    time: int
    received: int
    flags: Flags
    body: bytes


HybridTimes: TypeAlias = NDArray[np.uint64]
Microseconds: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ColumnBatch:
    """Records `first`, `first` + 1, … of one commit block (or a part of one), whose checksum was right.

    With n records, `offsets` has n + 1 entries and body i is data[offsets[i]:offsets[i + 1]]; offsets[0] is not 0 in a
    part that begins inside its block. The arrays are read-only views.
    """

    first: int
    hlc: HybridTimes
    time: Microseconds
    received: Microseconds
    flags: NDArray[np.uint16]
    offsets: NDArray[np.uint32]
    data: memoryview

    def __len__(self) -> int:
        return len(self.hlc)

    @property
    def last(self) -> int:
        """Number of the last record."""
        return self.first + len(self) - 1

    def body(self, index: int) -> bytes:
        """Body of the record `first` + index."""
        return bytes(self.data[int(self.offsets[index]) : int(self.offsets[index + 1])])

    def bodies(self) -> list[bytes]:
        """All bodies, in a fraction of the time that each of them takes alone."""
        offsets = self.offsets.tolist()
        begin = offsets[0]
        data = bytes(self.data[begin : offsets[-1]])
        return [data[start - begin : end - begin] for start, end in pairwise(offsets)]

    def records(self) -> Iterator[Record]:
        """The records one by one."""
        columns = (self.hlc, self.time, self.received, self.flags)
        rows = zip(*(column.tolist() for column in columns), self.bodies(), strict=True)
        for seq, (hlc, time, received, flags, body) in enumerate(rows, start=self.first):
            yield Record(seq, hlc, time, received, Flags(flags), body)

    def part(self, start: int, stop: int) -> "ColumnBatch":
        """The records with index `start` to `stop` - 1, without copying."""
        return ColumnBatch(
            self.first + start,
            self.hlc[start:stop],
            self.time[start:stop],
            self.received[start:stop],
            self.flags[start:stop],
            self.offsets[start : stop + 1],
            self.data,
        )
