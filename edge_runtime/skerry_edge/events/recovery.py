"""What a prediction log holds after a crash, and where it goes on."""

import os
from dataclasses import dataclass
from pathlib import Path

from skerry_edge.events.segment import FRAME_OVERHEAD, MAGIC, Damage, scan, segment_firsts, segment_path

FIRST_SEQ = 1


@dataclass(frozen=True)
class Recovery:
    """Where to go on: `next_seq`, in segment `first` from byte `size` on, or in a new segment if `first` is None.

    `torn` counts the bytes cut from the tail, `damaged` those between records that can't be read any more.
    """

    next_seq: int
    first: int | None = None
    size: int = 0
    torn: int = 0
    damaged: int = 0


def recover(directory: Path) -> Recovery:
    """Cut the newest segment's torn tail and find its end; older segments are closed and stay as they are.

    A torn tail was never acknowledged: an answer goes out only after its record was written whole. A segment with
    damage inside is fenced: nothing more is written to it. Numbers that cut bytes may have held are not given out
    again, since a worn disk can also spoil a record that was acknowledged. Raises OSError.
    """
    for leftover in directory.glob("*.tmp"):
        leftover.unlink()
    firsts = segment_firsts(directory)
    if not firsts:
        return Recovery(FIRST_SEQ)
    first = firsts[-1]
    descriptor = os.open(segment_path(directory, first), os.O_RDWR)
    try:
        found = os.fstat(descriptor).st_size
        intact = os.pread(descriptor, len(MAGIC), 0) == MAGIC
        next_seq, end, damaged = first, len(MAGIC), 0 if intact else min(found, len(MAGIC))
        for part in scan(descriptor):
            end = part.end
            if isinstance(part, Damage):
                damaged += part.end - part.offset
            else:
                next_seq = part.seq + 1
        if found > end:
            os.ftruncate(descriptor, end)
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
    torn = max(0, found - end)
    next_seq += -(-torn // FRAME_OVERHEAD)
    if damaged or next_seq == first:
        return Recovery(next_seq, torn=torn, damaged=damaged)
    return Recovery(next_seq, first, end, torn)
