"""From a log's columns to what the engine takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np

from skerry_core.batch.flags import Flags
from skerry_core.features.apply import RawEvents
from skerry_edge.events.record import ColumnBatch

_SECOND = 1_000_000


@dataclass(frozen=True)
class Run:
    """Events that came one after the other, with their numbers, and the number up to which all is done."""

    events: RawEvents
    seqs: Sequence[int]
    last: int


def runs(batches: Sequence[ColumnBatch]) -> Iterator[Run]:
    """The events of one log's batches, of as many commits at once as came in the same second.

    So all of a run were received before the node's clock jumped, or after it. What was redacted is left out: it says
    nothing any more.
    """
    received = np.concatenate([batch.received for batch in batches])
    time = np.concatenate([batch.time for batch in batches])
    kept = (np.concatenate([batch.flags for batch in batches]) & Flags.REDACTED) == 0
    seqs = list(chain.from_iterable(range(batch.first, batch.last + 1) for batch in batches))
    bodies = list(chain.from_iterable(batch.bodies() for batch in batches))
    cuts = np.flatnonzero(np.diff(received // _SECOND)) + 1
    for start, stop in pairwise([0, *cuts.tolist(), len(seqs)]):
        rows = np.flatnonzero(kept[start:stop]) + start
        places = rows.tolist()
        events = RawEvents([bodies[place] for place in places], time[rows], received[rows])
        yield Run(events, [seqs[place] for place in places], seqs[stop - 1])
