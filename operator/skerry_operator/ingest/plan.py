"""What to take of the batches that a listing shows; no I/O, no clock."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from skerry_core.batch.contents import LogName
from skerry_operator.ingest.ledger import Ledger, Span

# Open gaps of one log. Beyond them its batches wait in the store, or the oldest gap that is given up is closed.
MAX_GAPS = 64
_NOTHING = Ledger()


@dataclass(frozen=True, slots=True)
class Listed:
    """A batch in the store: its key, what the key says it covers, and its size in bytes."""

    key: str
    log: LogName
    span: Span | None
    size: int


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds of one commit: batches, and bytes of them as they lie in the store."""

    batches: int = 500
    bytes: int = 16 << 20

    def times(self, shares: int) -> "Budget":
        """The budget of a commit that so many workers share."""
        return Budget(self.batches * shares, self.bytes * shares)


@dataclass(frozen=True, slots=True)
class Take:
    """Read a batch, and add the rows in these spans of it to the table."""

    batch: Listed
    spans: tuple[Span, ...]


@dataclass(frozen=True, slots=True)
class Close:
    """Count a gap that is given up as accounted for: whatever comes for it later is passed over."""

    log: LogName
    gap: Span


@dataclass(frozen=True, slots=True)
class Plan:
    """One commit's work; `left` batches have something new but don't fit into this commit."""

    takes: tuple[Take, ...]
    closes: tuple[Close, ...]
    left: int


def plan(
    ledgers: Mapping[LogName, Ledger],
    listed: Iterable[Listed],
    budget: Budget,
    given_up: Mapping[LogName, Iterable[Span]],
) -> Plan:
    """Choose batches of which something is missing, the logs in turn so that one site's backlog delays nobody.

    A batch beyond a gap is taken too; of batches that overlap, each sequence number is taken from one. At least one
    batch is taken, however large.
    """
    waiting: list[tuple[int, Take]] = []
    closes: list[Close] = []
    left = 0
    for log, batches in groupby(sorted(listed, key=_by_log), key=attrgetter("log")):
        ledger = ledgers.get(log, _NOTHING)
        closable = set(given_up.get(log, ()))
        turn = 0
        for batch in batches:
            spans = ledger.missing(batch.span) if batch.span else ()
            if not spans:
                continue
            after = ledger.taken(spans)
            if len(after.gaps) > max(MAX_GAPS, len(ledger.gaps)):
                oldest = after.gaps[0]
                if oldest not in closable:
                    left += 1
                    continue
                closes.append(Close(log, oldest))
                after = after.taken([oldest])
            ledger = after
            waiting.append((turn, Take(batch, spans)))
            turn += 1
    waiting.sort(key=lambda entry: entry[0])
    takes = [take for _, take in waiting]
    count = _within(takes, budget)
    logs = {take.batch.log for take in takes[:count]}
    return Plan(tuple(takes[:count]), tuple(close for close in closes if close.log in logs), left + len(takes) - count)


def _within(takes: list[Take], budget: Budget) -> int:
    size = 0
    for count, take in enumerate(takes[: budget.batches]):
        size += take.batch.size
        if count and size > budget.bytes:
            return count
    return min(len(takes), budget.batches)


def _by_log(batch: Listed) -> tuple[str, str, str, str, int, int, str]:
    log, span = batch.log, batch.span
    return log.site, log.node, log.stream, log.epoch, span.after if span else 0, -span.last if span else 0, batch.key
