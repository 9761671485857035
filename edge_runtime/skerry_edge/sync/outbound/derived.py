"""A log of sync's own into which records derived from other streams go, each once: found again by their ids."""

from collections.abc import Iterator, Sequence

import msgspec

from skerry_edge.events.follow import Place
from skerry_edge.events.log import StreamLog
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import FIRST_SEQ, NewRecord

_READ = 1000


class _Identity(msgspec.Struct):
    id: str = ""
    subject: str = ""


_decode = msgspec.json.Decoder(_Identity).decode


def id_of(body: bytes) -> str | None:
    """A derived record's id; None of what none of us wrote."""
    try:
        return _decode(body).id
    except ValueError:
        return None


def source_of(body: bytes) -> str | None:
    """The stream that a derived record tells of; None of what none of us wrote."""
    try:
        return _decode(body).subject
    except ValueError:
        return None


class DerivedLog:
    """Appends what isn't there yet. Used by one thread, the only one that appends to the log.

    Whoever derives notes how far it is only now and then, so after a start it derives the last part again; what came of
    that the first time is in the log behind `since`, and is left out.
    """

    def __init__(self, log: StreamLog, since: Place) -> None:
        """`since` is the log's end when its writer last noted how far it was. Raises OSError."""
        self._log = log
        self._end = since.seq if since.epoch == log.epoch else FIRST_SEQ - 1
        self._there = frozenset(self._read())

    @property
    def end(self) -> Place:
        """Where the log ends."""
        return Place(self._log.epoch, self._end)

    def holds(self, identity: str) -> bool:
        """Whether a record of this id was there at the start, behind `since`."""
        return identity in self._there

    def append(self, records: Sequence[tuple[str, NewRecord]]) -> int:
        """Append records, given with their ids, durably; how many weren't there. Raises as StreamLog.append does."""
        fresh = [record for identity, record in records if identity not in self._there]
        if fresh:
            self._end = self._log.append(fresh)[-1]
        return len(fresh)

    def _read(self) -> Iterator[str]:
        reader = LogReader(self._log.directory)
        while batches := reader.read(self._end + 1, _READ):
            for batch in batches:
                for record in batch.records():
                    identity = id_of(record.body)
                    if identity is not None:
                        yield identity
            self._end = batches[-1].last
