"""What became of gaps, on record in the table `_gaps`, and what follows from it in the store.

A note that is there twice, because an ingester was killed or two of them ran, changes nothing: the record is folded.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

import pyarrow as pa

from skerry_core.batch.contents import LogName
from skerry_operator.ingest.gaps import Ask, Gap, GapState, Known, Note, Patience, follow
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.ledger import Ledger, Span
from skerry_operator.ingest.listing import request_key
from skerry_operator.ingest.schema import GAPS
from skerry_operator.ingest.table import LakeTable

if TYPE_CHECKING:
    from skerry_core.store.port import Store


class GapRecord:
    """All gaps that are open or given up, as far as they were noted."""

    def __init__(self, lake: Lake, table: LakeTable, patience: Patience) -> None:
        self._lake = lake
        self._store: Store = lake.store
        self.table = table
        self._patience = patience
        self._known: dict[Gap, Known] | None = None

    def forget(self) -> None:
        """Read the record again before it's next used."""
        self._known = None

    def given_up(self, stream: str) -> dict[LogName, list[Span]]:
        """The lost gaps of a stream."""
        found: dict[LogName, list[Span]] = {}
        for gap, known in self._read().items():
            if known.lost and gap.log.stream == stream:
                found.setdefault(gap.log, []).append(gap.span)
        return found

    def open_gaps(self) -> Mapping[Gap, Known]:
        """Every gap on record."""
        return self._read()

    def follow(self, stream: str, ledgers: Mapping[LogName, Ledger], requests: Iterable[Gap], now: datetime) -> None:
        """Note what became of a stream's gaps, ask for those that stay, and take back what was answered."""
        known = {gap: record for gap, record in self._read().items() if gap.log.stream == stream}
        commands = follow(ledgers, known, requests, now, self._patience)
        self.note([(command, "") for command in commands if isinstance(command, Note)], now)
        for command in commands:
            if isinstance(command, Ask):
                self.ask(command.gap)
            elif not isinstance(command, Note):
                self._store.delete(request_key(command.request))

    def ask(self, gap: Gap) -> None:
        """Ask a site to send a gap again."""
        self._store.put(request_key(gap), b"")

    def note(self, notes: Iterable[tuple[Note, str]], now: datetime) -> None:
        """Put notes, each with its reason, on record."""
        rows = [
            {
                "site": note.gap.log.site,
                "node": note.gap.log.node,
                "stream": note.gap.log.stream,
                "epoch": note.gap.log.epoch,
                "first": note.gap.span.after + 1,
                "last": note.gap.span.last,
                "state": str(note.state),
                "reason": reason,
                "noted": now,
            }
            for note, reason in notes
        ]
        if rows:
            known = self._read()
            self.table.append(pa.Table.from_pylist(rows, GAPS))
            for row in rows:
                _fold(known, row)

    def _read(self) -> dict[Gap, Known]:
        if self._known is None:
            table = self._lake.read(self.table.name)
            rows = [] if table is None else sorted(table.to_pylist(), key=lambda row: row["noted"])
            known: dict[Gap, Known] = {}
            for row in rows:
                _fold(known, row)
            self._known = known
        return self._known


def _fold(known: dict[Gap, Known], row: Mapping[str, object]) -> None:
    first, last, at = row["first"], row["last"], row["noted"]
    assert isinstance(first, int)
    assert isinstance(last, int)
    assert isinstance(at, datetime)
    log = LogName(str(row["site"]), str(row["node"]), str(row["stream"]), str(row["epoch"]))
    gap = Gap(log, Span(first - 1, last))
    state = GapState(str(row["state"]))
    if state is GapState.OPEN:
        known.setdefault(gap, Known(at))
    elif state is GapState.LOST:
        known[gap] = Known(known[gap].since if gap in known else at, lost=True)
    elif state is not GapState.DAMAGED:
        known.pop(gap, None)
