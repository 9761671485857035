"""Where the upload stands and what goes next: pure, from the log's records and the store's listing.

Positions are sequence numbers; a position p says that every record up to p is in the store. Batches are cut by
position and sent in order, one at a time, so the newest batch in the store tells the whole position. This is
litestream's rule (its replica.go): after any error, forget what was believed and ask the store again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from skerry_edge.events.identity import POWER_CUT_SKIP
from skerry_edge.events.record import Record
from skerry_edge.events.recovery import FIRST_SEQ

MAX_RECORDS = 1000
MAX_BYTES = 1 << 20

_BATCH = re.compile(r"[0-9]{20}-([0-9]{20})\.jsonl\.zst")


@dataclass(frozen=True)
class Position:
    """What the store is known to have of one log: every record of `epoch` up to and including `seq`."""

    epoch: str
    seq: int


def events_prefix(node: str, epoch: str) -> str:
    """Key prefix of one log's batches, below the site's own prefix."""
    return f"events/{node}/{epoch}/"


def batch_key(prefix: str, batch: Sequence[Record]) -> str:
    """Key of a batch: its first and last sequence numbers, in twenty digits so that names sort as numbers do."""
    return f"{prefix}{batch[0].seq:020d}-{batch[-1].seq:020d}.jsonl.zst"


def cut(records: Sequence[Record]) -> Sequence[Record]:
    """The next batch: the longest run from the oldest record on within MAX_RECORDS and MAX_BYTES, but at least one."""
    size = 0
    for count, record in enumerate(records[:MAX_RECORDS]):
        size += len(record.line) + 1
        if size > MAX_BYTES and count:
            return records[:count]
    return records[:MAX_RECORDS]


def encode(batch: Iterable[Record]) -> bytes:
    """Records as JSON Lines."""
    return b"".join(record.line + b"\n" for record in batch)


def position(prefix: str, epoch: str, listed: Iterable[str], noted: Position | None) -> Position:
    """Position that the store's keys and the note on disk prove together.

    Each alone is a lower bound, so the larger counts: the note lags by at most the batch in flight when its writer was
    killed; the listing may be cut off, or thinned by an ingest that deletes what it has taken. A note of another epoch
    is about another log.
    """
    names = (key.removeprefix(prefix) for key in listed if key.startswith(prefix))
    ends = [int(match[1]) for match in map(_BATCH.fullmatch, names) if match]
    if noted is not None and noted.epoch == epoch:
        ends.append(noted.seq)
    return Position(epoch, max(ends, default=FIRST_SEQ - 1))


def removable(firsts: Sequence[int], uploaded: int) -> tuple[int, ...]:
    """Segments, named by their first sequence number, that are closed and wholly uploaded.

    A segment is closed once there is a later one, and ends just before it; the newest is never removed.
    """
    return tuple(first for first, following in pairwise(sorted(firsts)) if following <= uploaded + 1)


def depth(firsts: Sequence[int], next_seq: int, uploaded: int) -> int:
    """How many records wait in the segments; exact but for damaged ones.

    After a power cut the log skips POWER_CUT_SKIP numbers, always between two segments, and no segment holds as many.
    """
    waiting = 0
    for first, following in pairwise((*sorted(firsts), next_seq)):
        records = (following - first) % POWER_CUT_SKIP
        waiting += records - min(max(uploaded + 1 - first, 0), records)
    return waiting
