"""This node's own withdrawals, numbered, as the other nodes of its site are to have them. Pure but for the file.

A number outlives the log's: segments may go, and the log may begin anew, before the last node has been told. Entries
go when every node has them and no record is left that is as old; and the oldest when there are too many: a node that
hasn't got those is told that something was lost.
"""

import secrets
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec
import structlog

from skerry_api.v1alpha1.runtimenode import MAX_CLASSES, MAX_PAGE, Withdrawal, WithdrawalPage
from skerry_core.durable import write_file
from skerry_edge.events.follow import Place, Stretch
from skerry_edge.events.record import ColumnBatch
from skerry_edge.ingest.consent import Change, entity_key, read_record, site_hash
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.sync.outbound.entity import entity_of

# About 100 bytes each, in memory and in the file.
MOST = 4096
# Bytes of a page, about: a RuntimeNode has room for all of them.
_PAGE_BYTES = 8192
_ENTRY_BYTES = 80

_log = structlog.get_logger()


class Entry(msgspec.Struct, frozen=True):
    """Who withdrew what, by `site_hash` and data classes (none: all); no entity: something was lost. `at` is in µs."""

    entity: str | None
    classes: tuple[str, ...]
    at: int

    @property
    def size(self) -> int:
        """Bytes that it takes on its way, about."""
        return _ENTRY_BYTES + sum(len(name) + 3 for name in self.classes)


class Index(msgspec.Struct, frozen=True):
    """`entries` are numbered from `first` on; `place` is how far the consent log has been read."""

    incarnation: str
    place: Place = Place()
    first: int = 1
    entries: tuple[Entry, ...] = ()

    @property
    def last(self) -> int:
        """The number of the newest entry that there ever was."""
        return self.first + len(self.entries) - 1

    def page(self, after: int) -> WithdrawalPage | None:
        """What follows a number, for whoever has all up to it; None if nothing does."""
        if after >= self.last:
            return None
        found = []
        if after + 1 < self.first:
            found.append(Withdrawal(number=self.first - 1))
        size = 0
        start = max(after + 1, self.first)
        for number, entry in enumerate(self.entries[start - self.first :], start):
            size += entry.size
            if len(found) >= MAX_PAGE or (found and size > _PAGE_BYTES):
                break
            found.append(Withdrawal(number=number, entity=entry.entity, data_classes=entry.classes))
        return WithdrawalPage(after=after, withdrawals=tuple(found))

    def extended(self, stretch: Stretch, secret: bytes) -> "Index":
        """With what a stretch of the log says. A loss in it may have been anybody's withdrawal.

        What went before anything was read here was nobody's to be told.
        """
        lost = None if self.place == Place() and stretch.lost == 0 else stretch.lost
        entries = list(self.entries)
        for number, batch in enumerate(stretch.batches):
            if number == lost:
                entries.append(Entry(None, (), int(batch.received[0])))
            entries += _entries(batch, secret)
        if lost is not None and not stretch.batches:
            entries.append(Entry(None, (), 0))
        return _with(self, entries[-MOST:], len(entries), stretch.place)

    def without_old(self, at: int, taken: int) -> "Index":
        """Without the oldest entries, as far as they are from before `at`, in µs, and numbered up to `taken`."""
        known = self.entries[: max(taken + 1 - self.first, 0)]
        old = next((n for n, entry in enumerate(known) if entry.at >= at), len(known))
        return _with(self, self.entries[old:], len(self.entries), self.place)


def _with(index: Index, entries: Sequence[Entry], count: int, place: Place) -> Index:
    """The index with the last of `count` entries."""
    return msgspec.structs.replace(index, first=index.first + count - len(entries), entries=tuple(entries), place=place)


def _entries(batch: ColumnBatch, secret: bytes) -> Iterable[Entry]:
    for record in batch.records():
        try:
            change = read_record(record.body)
        except (MalformedError, RecursionError):
            # As the fold has it: it withdraws all that its entity granted, or anybody, if it tells none.
            entity = entity_of(record.body)
            hashed = None if entity is None else site_hash(secret, entity_key(entity))
            yield Entry(hashed, (), record.received)
            continue
        if isinstance(change, Change) and change.withdrawn:
            classes = tuple(sorted(change.data_classes))
            hashed = site_hash(secret, entity_key(change.entity))
            yield Entry(hashed, classes if len(classes) <= MAX_CLASSES else (), record.received)


def read_index(path: Path) -> Index:
    """The index as it was written; a new one, to be made of the log, if there is none. Raises OSError.

    After one that can't be understood it can't be told what other nodes know, so something counts as lost.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Index)
    except FileNotFoundError:
        return Index(secrets.token_hex(8))
    except (ValueError, RecursionError) as error:
        _log.warning("withdrawals for other nodes can't be read, they are counted anew", error=str(error)[:200])
        return Index(secrets.token_hex(8), Place("unknown"))


def write_index(path: Path, index: Index) -> None:
    """Raises OSError."""
    write_file(path, msgspec.json.encode(index), mode=0o600)
