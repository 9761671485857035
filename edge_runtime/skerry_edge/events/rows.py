"""Records on their way into a log, column by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from skerry_edge.events.record import MAX_BODY, NewRecord

# Bytes that a record takes besides its body (hlc, time, received, offset, flags), and a block besides its records.
RECORD_BYTES = 8 + 8 + 8 + 4 + 2
BLOCK_BYTES = 48
MAX_COUNT = 1 << 14
# A block is begun anew rather than grow beyond this, unless one record alone does.
MAX_DATA = 1 << 20


@dataclass(slots=True)
class Rows:
    """Records on their way into a block, column by column.

    Never changed; not frozen only because each append makes one, and a frozen one takes three times as long to make.
    """

    bodies: list[bytes]
    lengths: list[int]
    times: list[int]
    received: list[int]
    flags: list[int]
    size: int

    @classmethod
    def of(cls, records: Sequence[NewRecord]) -> "Rows":
        """Take records apart. ValueError for a body longer than MAX_BODY."""
        bodies = [record.body for record in records]
        lengths = list(map(len, bodies))
        size = sum(lengths)
        if size > MAX_BODY and max(lengths) > MAX_BODY:
            raise ValueError(f"a body of {max(lengths)} bytes is longer than {MAX_BODY}")
        return cls(
            bodies,
            lengths,
            [record.time for record in records],
            [record.received for record in records],
            [record.flags for record in records],
            size,
        )

    @classmethod
    def joined(cls, parts: Sequence["Rows"]) -> "Rows":
        """The rows of several callers, in order."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            list(chain.from_iterable(part.bodies for part in parts)),
            list(chain.from_iterable(part.lengths for part in parts)),
            list(chain.from_iterable(part.times for part in parts)),
            list(chain.from_iterable(part.received for part in parts)),
            list(chain.from_iterable(part.flags for part in parts)),
            sum(part.size for part in parts),
        )

    def __len__(self) -> int:
        return len(self.bodies)

    @property
    def stored_size(self) -> int:
        """Bytes that they take in a segment, or a little more."""
        return self.size + RECORD_BYTES * len(self.bodies) + BLOCK_BYTES

    def part(self, start: int, stop: int) -> "Rows":
        """Rows `start` to `stop` - 1."""
        lengths = self.lengths[start:stop]
        return Rows(
            self.bodies[start:stop],
            lengths,
            self.times[start:stop],
            self.received[start:stop],
            self.flags[start:stop],
            sum(lengths),
        )

    def block_sized(self) -> Iterator["Rows"]:
        """These rows in parts that each fit a block: one, unless it would be too large."""
        if len(self) <= MAX_COUNT and self.size <= MAX_DATA:
            if self.bodies:
                yield self
            return
        start = data = 0
        for index, length in enumerate(self.lengths):
            if index - start == MAX_COUNT or (data and data + length > MAX_DATA):
                yield self.part(start, index)
                start, data = index, 0
            data += length
        yield self.part(start, len(self))
