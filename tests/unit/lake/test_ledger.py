"""A ledger is a set of sequence numbers, and what Delta keeps of it is the whole of it."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.contents import LogName
from skerry_operator.ingest.ledger import Ledger, Span, from_transactions, to_transactions

LOG = LogName("berlin", "node-1", "predictions", "e1")
TOP = 40

spans = st.builds(lambda after, size: Span(after, after + size), st.integers(0, TOP), st.integers(1, 8))
ledgers = st.builds(lambda each: Ledger().taken(each), st.lists(spans, max_size=8))


def numbers(span):
    return set(range(span.after + 1, span.last + 1))


def numbers_of(ledger):
    return set(range(1, ledger.position + 1)).union(*map(numbers, ledger.beyond))


@given(st.lists(spans, max_size=12))
def test_a_ledger_has_what_was_taken_in_one_shape(taken):
    ledger = Ledger().taken(taken)
    assert numbers_of(ledger) == set().union(*map(numbers, taken))
    ends = [ledger.position, *(end for span in ledger.beyond for end in (span.after, span.last))]
    assert all(low < high for low, high in itertools.pairwise(ends))


@given(ledgers, spans)
def test_what_is_missing_of_a_span_is_what_is_not_in(ledger, span):
    missing = ledger.missing(span)
    assert set().union(*map(numbers, missing)) == numbers(span) - numbers_of(ledger)
    assert sum(map(len, missing)) == len(numbers(span) - numbers_of(ledger))
    assert not ledger.taken(missing).missing(span)


@given(ledgers)
def test_gaps_are_the_numbers_below_the_highest(ledger):
    present = numbers_of(ledger)
    assert set().union(*map(numbers, ledger.gaps)) == set(range(1, max(present, default=0) + 1)) - present


@given(st.lists(ledgers, min_size=1, max_size=6))
def test_the_table_knows_the_last_ledger_that_was_committed(history):
    table, before = {"somebody/else": 7}, Ledger()
    for ledger in history:
        table |= to_transactions(LOG, ledger, before)
        before = ledger
        assert from_transactions(table).get(LOG, Ledger()) == ledger


@given(ledgers)
def test_an_unchanged_ledger_needs_no_transaction(ledger):
    assert to_transactions(LOG, ledger, ledger) == {}


def test_a_log_without_gaps_costs_one_id():
    assert to_transactions(LOG, Ledger(12)) == {"berlin/node-1/predictions/e1": 12}


@pytest.mark.parametrize(("after", "last"), [(5, 5), (6, 5), (-1, 3)])
def test_an_empty_span_is_none(after, last):
    with pytest.raises(ValueError, match="no span"):
        Span(after, last)
