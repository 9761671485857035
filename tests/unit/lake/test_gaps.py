"""From a missing number to a request, to giving up, to filling it after all."""

from datetime import UTC, datetime, timedelta

import pytest

from skerry_core.batch.contents import LogName
from skerry_operator.ingest.gaps import Ask, Gap, GapState, Known, Note, Patience, StopAsking, follow
from skerry_operator.ingest.ledger import Ledger, Span

LOG = LogName("a", "node", "predictions", "e1")
NOW = datetime(2026, 11, 1, tzinfo=UTC)
PATIENCE = Patience(ask=timedelta(minutes=2), lose=timedelta(days=7))
GAP = Gap(LOG, Span(5, 9))
OPEN = {LOG: Ledger(5, (Span(9, 12),))}
FILLED = {LOG: Ledger(12)}
SHRUNK = {LOG: Ledger(7, (Span(9, 12),))}
REST = Gap(LOG, Span(7, 9))
WIDER = Gap(LOG, Span(5, 15))


def since(**age):
    return Known(NOW - timedelta(**age))


@pytest.mark.parametrize(
    ("ledgers", "known", "requests", "commands"),
    [
        (FILLED, {}, [], []),
        (OPEN, {}, [], [Note(GAP, GapState.OPEN)]),
        (OPEN, {GAP: since(minutes=1)}, [], []),
        (OPEN, {GAP: since(minutes=2)}, [], [Ask(GAP)]),
        (OPEN, {GAP: since(minutes=9)}, [GAP], []),
        (OPEN, {GAP: since(days=7)}, [GAP], [Note(GAP, GapState.LOST)]),
        (OPEN, {GAP: Known(NOW - timedelta(days=8), lost=True)}, [GAP], []),
        (FILLED, {GAP: Known(NOW, lost=True)}, [GAP], [Note(GAP, GapState.FILLED), StopAsking(GAP)]),
        # The site would send the part that came once more.
        (SHRUNK, {GAP: since(days=8)}, [GAP], [Note(REST, GapState.OPEN), Note(GAP, GapState.SHRUNK), StopAsking(GAP)]),
        (SHRUNK, {REST: since(minutes=1)}, [WIDER], []),
        # A damaged last batch: nothing in the ledger shows the gap, only the request does.
        ({LOG: Ledger(5)}, {}, [GAP], []),
        # Nothing is known of the log (its table could not be read): nothing is decided about it.
        ({}, {GAP: since(days=9)}, [GAP], []),
    ],
)
def test_what_follows(ledgers, known, requests, commands):
    assert follow(ledgers, known, requests, NOW, PATIENCE) == commands
