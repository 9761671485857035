"""What to do about sequence numbers that are missing: ask for them again, and say so when nobody expects them any more.

Giving a gap up changes nothing in the tables: a batch that comes after all still fills it, once.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from skerry_core.batch.contents import LogName
from skerry_operator.ingest.ledger import Ledger, Span


class GapState(StrEnum):
    """What became of a gap; the columns `state` of the table `_gaps`."""

    OPEN = "Open"
    LOST = "Lost"
    SHRUNK = "Shrunk"  # a part came; what is left is a gap of its own
    FILLED = "Filled"
    CLOSED = "Closed"  # lost, and too many others are open: what comes for it is passed over
    DAMAGED = "Damaged"  # a batch came and could not be read


@dataclass(frozen=True, slots=True)
class Gap:
    """A span of one log that is missing below something that is in."""

    log: LogName
    span: Span


@dataclass(frozen=True, slots=True)
class Known:
    """What is on record of a gap: since when it is open, and whether it is given up."""

    since: datetime
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a gap may be open before it is asked for again, and before it is given up."""

    ask: timedelta = timedelta(minutes=2)
    lose: timedelta = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class Note:
    """Record what became of a gap."""

    gap: Gap
    state: GapState


@dataclass(frozen=True, slots=True)
class Ask:
    """Put the request to send a gap again."""

    gap: Gap


@dataclass(frozen=True, slots=True)
class StopAsking:
    """Take back a request whose span is in, or in part and otherwise asked for by itself."""

    request: Gap


Command = Note | Ask | StopAsking


def follow(
    ledgers: Mapping[LogName, Ledger],
    known: Mapping[Gap, Known],
    requests: Iterable[Gap],
    now: datetime,
    patience: Patience,
) -> list[Command]:
    """Compare the gaps there are with those on record and with the requests that lie in the store."""
    requests = set(requests)
    commands: list[Command] = []
    current = {Gap(log, span) for log, ledger in ledgers.items() for span in ledger.gaps}
    for gap in sorted(current, key=_order):
        record = known.get(gap)
        if record is None:
            commands.append(Note(gap, GapState.OPEN))
            record = Known(now)
        if not record.lost and now - record.since >= patience.lose:
            commands.append(Note(gap, GapState.LOST))
        if now - record.since >= patience.ask and gap not in requests:
            commands.append(Ask(gap))
    for gap in sorted(known.keys() - current, key=_order):
        if gap.log in ledgers:
            state = GapState.FILLED if _is_in(ledgers[gap.log], gap) else GapState.SHRUNK
            commands.append(Note(gap, state))
    commands += [
        StopAsking(request)
        for request in sorted(requests, key=_order)
        if request.log in ledgers and _is_over(request, ledgers[request.log], current)
    ]
    return commands


def _is_over(request: Gap, ledger: Ledger, gaps: Collection[Gap]) -> bool:
    """Whether all of a request came, or a part: what is left is asked for by itself, or the part would be sent again.

    What no gap shows, since nothing behind it came, only its request shows.
    """
    return request not in gaps and all(Gap(request.log, span) in gaps for span in ledger.missing(request.span))


def _is_in(ledger: Ledger, gap: Gap) -> bool:
    return not ledger.missing(gap.span)


def _order(gap: Gap) -> tuple[str, str, str, str, Span]:
    log = gap.log
    return log.site, log.node, log.stream, log.epoch, gap.span
