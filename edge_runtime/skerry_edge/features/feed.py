"""A stream's records for whoever follows all of its logs: those that were set aside first, then the live one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skerry_edge.events.follow import Place, Tail
from skerry_edge.events.identity import ASIDE
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ, ColumnBatch

YOUNG = 15 * 60 * 1_000_000
"""Age of its oldest record (µs) up to which a node is new to a stream."""


@dataclass(frozen=True)
class Chunk:
    """Records of one log, and the place behind them; `live` if more can come there."""

    batches: Sequence[ColumnBatch]
    behind: Place
    live: bool


class Feed:
    """Used by one thread, but for what says otherwise. `folder` is the live log's, and need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tail = Tail(folder)
        self._epoch: str | None = None
        self._aside: list[LogReader] | None = None

    def read(self, position: Mapping[str, int], max_records: int) -> Chunk | None:
        """What follows a position (by epoch the number of the next record); None if there is nothing new.

        Raises OSError.
        """
        identity = self._tail.identity
        epoch = None if identity is None else identity.epoch
        if self._aside is None or epoch != self._epoch:
            # A log is set aside when another one takes its place.
            self._epoch, self._aside = epoch, [LogReader(path) for path in self._set_aside()]
        while self._aside:
            reader = self._aside[0]
            found = reader.identity
            if found is not None:
                batches = reader.read(position.get(found.epoch, FIRST_SEQ), max_records)
                if batches:
                    return Chunk(batches, Place(found.epoch, batches[-1].last), live=False)
            self._aside.pop(0)
        if epoch is None:
            return None
        stretch = self._tail.read(Place(epoch, position.get(epoch, FIRST_SEQ) - 1), max_records)
        if stretch is None or not stretch.batches:
            return None
        return Chunk(stretch.batches, stretch.place, live=True)

    def restart(self) -> None:
        """Look at the logs that were set aside once more."""
        self._aside = None

    def is_young(self, now: int) -> bool:
        """Whether all that this node ever took in of the stream came within YOUNG before `now` (µs). Raises OSError."""
        if self._set_aside():
            return False
        if self._tail.identity is None or self._tail.end().seq < FIRST_SEQ:
            return True
        batches = LogReader(self._folder).read(FIRST_SEQ, 1)
        first = batches[0] if batches else None
        return first is not None and first.first == FIRST_SEQ and now - int(first.received[0]) < YOUNG

    def epochs(self) -> frozenset[str]:
        """Of all logs of the stream that are here. Raises OSError."""
        readers = [LogReader(path) for path in (*self._set_aside(), self._folder)]
        return frozenset(found.epoch for reader in readers if (found := reader.identity) is not None)

    @property
    def aside_left(self) -> bool:
        """Whether logs that were set aside may have something to be read yet."""
        return self._aside is None or bool(self._aside)

    @property
    def epoch(self) -> str:
        """Of the live log as of the last read; empty if there was none."""
        return self._epoch or ""

    def end(self) -> Place:
        """Where the live log ends by now. Raises OSError."""
        return self._tail.end()

    def end_for_others(self) -> Place:
        """As `end`, by any thread. Raises OSError."""
        return Tail(self._folder).end()

    def _set_aside(self) -> list[Path]:
        paths = (path for path in self._folder.parent.glob(f"{self._folder.name}{ASIDE}*") if path.is_dir())
        return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name))


def has_reached(position: Mapping[str, int], end: Place) -> bool:
    """Whether everything up to `end` has been applied."""
    return end.seq < FIRST_SEQ or position.get(end.epoch, FIRST_SEQ) > end.seq
