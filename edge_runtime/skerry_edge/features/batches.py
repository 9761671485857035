"""From a log's columns to what the engine takes."""

from collections.abc import Iterator, Sequence

import numpy as np

from skerry_core.batch.flags import Flags
from skerry_core.features.apply import RawEvents
from skerry_edge.events.record import ColumnBatch

# Time servers set clocks back by less than this all the time.
_CORRECTION = 1_000_000


def runs(batch: ColumnBatch) -> Iterator[tuple[RawEvents, Sequence[int], int]]:
    """A batch's events, cut where the node's clock was set back; with their numbers, and the last one that is done.

    What was redacted is left out: it says nothing any more.
    """
    cuts = np.flatnonzero(np.diff(batch.received) < -_CORRECTION) + 1
    for start, stop in zip([0, *cuts.tolist()], [*cuts.tolist(), len(batch)], strict=True):
        kept = np.flatnonzero((batch.flags[start:stop] & Flags.REDACTED) == 0) + start
        bodies = [batch.body(index) for index in kept.tolist()]
        yield (
            RawEvents(bodies, batch.time[kept], batch.received[kept]),
            [batch.first + index for index in kept.tolist()],
            batch.first + stop - 1,
        )
