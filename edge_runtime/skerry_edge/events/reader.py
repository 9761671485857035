"""Reading the prediction log by sequence number, while another process writes it."""

import os
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import structlog

from skerry_edge.events.record import Record
from skerry_edge.events.segment import MAGIC, Damage, scan, segment_firsts, segment_path

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class _Place:
    """Where in which file a reader stands: every record before `offset` has a number below `seq`."""

    inode: int
    offset: int
    seq: int


class LogReader:
    """Reads like `read_from`; asked for what follows, it goes on where it stood instead of scanning the segment anew.

    Used by one thread.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._places: dict[int, _Place] = {}

    def read(self, seq: int, limit: int) -> list[Record]:
        """Read as `read_from` does."""
        firsts = segment_firsts(self._directory) if self._directory.is_dir() else []
        places: dict[int, _Place] = {}
        records: list[Record] = []
        for first, following in pairwise([*firsts, 1 << 64]):
            if following <= seq or len(records) >= limit:
                continue
            try:
                places[first] = self._read_segment(first, max(seq, first), following, limit, records)
            except FileNotFoundError:
                continue
        self._places = places
        return records

    def _read_segment(self, first: int, seq: int, until: int, limit: int, records: list[Record]) -> _Place:
        path = segment_path(self._directory, first)
        descriptor = os.open(path, os.O_RDONLY)
        try:
            status = os.fstat(descriptor)
            place = self._places.get(first)
            if place is None or place.inode != status.st_ino or place.offset > status.st_size or place.seq > seq:
                place = _Place(status.st_ino, len(MAGIC), first)
            for part in scan(descriptor, place.offset):
                if isinstance(part, Damage):
                    _log.warning("log segment damaged", segment=path.name, offset=part.offset, end=part.end)
                    continue
                if part.seq >= until or len(records) >= limit:
                    break
                if part.seq >= max(seq, place.seq):
                    records.append(Record(part.seq, part.payload))
                place = _Place(status.st_ino, part.end, max(part.seq + 1, place.seq))
        finally:
            os.close(descriptor)
        return place


def read_from(directory: Path, seq: int, limit: int) -> list[Record]:
    """Records numbered `seq` and up, oldest first, at most `limit` of them; empty if there are none yet.

    Damaged bytes are reported in the process's log and show as missing numbers; the rest is read. A segment that
    another process removed meanwhile is passed over. Raises OSError if the folder or a segment can't be read.
    """
    return LogReader(directory).read(seq, limit)
