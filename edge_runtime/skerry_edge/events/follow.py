"""Follows one stream's live log, whatever becomes of the log's folder meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from skerry_edge.events.holes import HoleReason
from skerry_edge.events.identity import LogIdentity
from skerry_edge.events.mark import read_mark
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ, ColumnBatch


class Place(msgspec.Struct, frozen=True):
    """Every record up to number `seq` of the log `epoch` has been read."""

    epoch: str = ""
    seq: int = FIRST_SEQ - 1


@dataclass(frozen=True)
class Stretch:
    """What follows a place in the log that `identity` tells of: `batches` in order, and the place behind them.

    `lost`: right before the batch of this index, records that were there can't be read any more, or the log began
    anew; the last such index, or None.
    """

    identity: LogIdentity
    place: Place
    batches: Sequence[ColumnBatch]
    lost: int | None = None


class Tail:
    """Reads what was appended since; used by one thread. The folder need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._reader = LogReader(folder)

    @property
    def identity(self) -> LogIdentity | None:
        """Which log the folder holds now; None if it holds none. Raises OSError."""
        return self._reader.identity

    def end(self) -> Place:
        """Where the log ends by now; the beginning if it isn't there yet. Raises OSError."""
        identity = self._reader.identity
        mark = None if identity is None else read_mark(self._folder, identity.epoch)
        return Place() if identity is None or mark is None else Place(identity.epoch, mark.next_seq - 1)

    def read(self, place: Place, max_records: int) -> Stretch | None:
        """The stretch behind `place`; None if there is nothing new. Raises OSError, RetryError."""
        identity = self._reader.identity
        if identity is None:
            return None
        began = place.epoch != identity.epoch
        start = Place(identity.epoch) if began else place
        batches = self._reader.read(start.seq + 1, max_records)
        if not batches:
            return Stretch(identity, start, (), lost=0) if began else None
        lost = self._lost(start.seq + 1, batches)
        again = self._reader.identity
        if again is None or again.epoch != identity.epoch:
            return None  # the folder was put aside while it was read: these may be either log's records
        return Stretch(
            identity, Place(identity.epoch, batches[-1].last), batches, 0 if began and lost is None else lost
        )

    def _lost(self, first: int, batches: Sequence[ColumnBatch]) -> int | None:
        lost = None
        for index, batch in enumerate(batches):
            if batch.first > first:
                holes = self._reader.holes(first, batch.first - 1)
                if any(hole.reason is not HoleReason.SKIPPED for hole in holes):
                    lost = index
            first = batch.last + 1
        return lost
