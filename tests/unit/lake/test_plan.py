"""Whatever is listed in whatever order, and whoever commits between, each number is taken once and none is left."""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.contents import LogName
from skerry_operator.ingest.ledger import Ledger, Span
from skerry_operator.ingest.plan import MAX_GAPS, Budget, Close, Listed, plan

A, B = (LogName(site, "node", "predictions", "e1") for site in ("a", "b"))


def listed(log, after, last, size=10):
    span = Span(after, last) if last > after else None
    return Listed(f"sites/{log.site}/{after}-{last}", log, span, size)


batches = st.builds(
    lambda log, after, length, size: listed(log, after, after + length, size),
    st.sampled_from([A, B]),
    st.integers(0, 60),
    st.integers(0, 12),
    st.integers(1, 50),
)
budgets = st.builds(Budget, st.integers(1, 6), st.integers(1, 100))


def numbers(log, spans):
    return [(log, seq) for span in spans for seq in range(span.after + 1, span.last + 1)]


def commit(ledgers, takes):
    for take in takes:
        log = take.batch.log
        ledgers[log] = ledgers.get(log, Ledger()).taken(take.spans)


@given(st.lists(batches, max_size=25), budgets, st.integers(0, 2**32))
def test_each_number_is_taken_once_by_racing_ingesters(all_batches, budget, seed):
    """Both plan on what they saw last; a commit counts only if the other has not committed since (as Delta has it)."""
    table, version, taken = {}, 0, Counter()
    dice = random.Random(seed)
    seen = {who: (dict(table), version) for who in "xy"}
    for _ in range(60):
        who = dice.choice("xy")
        ledgers, at = seen[who]
        visible = dice.sample(all_batches, dice.randint(0, len(all_batches)))
        work = plan(ledgers, visible, budget, {})
        # Some batches turn out damaged, or gone, when they are read.
        good = [take for take in work.takes if dice.random() < 0.8]
        if good and at == version:
            commit(table, good)
            version += 1
            taken.update(number for take in good for number in numbers(take.batch.log, take.spans))
        if dice.random() < 0.7:
            seen[who] = (dict(table), version)
    while (work := plan(table, all_batches, budget, {})).takes:
        commit(table, work.takes)
        taken.update(number for take in work.takes for number in numbers(take.batch.log, take.spans))
    assert work.left == 0
    there = {number for batch in all_batches if batch.span for number in numbers(batch.log, [batch.span])}
    assert taken == Counter(there)
    for log in (A, B):
        ledger = table.get(log, Ledger())
        assert all(not ledger.missing(batch.span) for batch in all_batches if batch.log == log and batch.span)


@given(st.lists(batches, max_size=25), budgets)
def test_a_plan_keeps_to_its_budget(all_batches, budget):
    work = plan({}, all_batches, budget, {})
    assert len(work.takes) <= budget.batches
    assert len(work.takes) == 1 or sum(take.batch.size for take in work.takes) <= budget.bytes
    assert bool(work.takes) == any(batch.span for batch in all_batches)


def test_a_backlog_delays_nobody():
    backlog = [listed(A, seq, seq + 1) for seq in range(1000)]
    work = plan({}, [*backlog, listed(B, 0, 1)], Budget(batches=4), {})
    assert Counter(take.batch.log for take in work.takes) == {A: 3, B: 1}
    assert work.left == 997


def holes(count):
    """A batch of one number after each hole of one number."""
    return [listed(A, 2 * hole + 1, 2 * hole + 2) for hole in range(count)]


def test_batches_beyond_too_many_gaps_wait():
    work = plan({}, holes(MAX_GAPS + 5), Budget(), {})
    assert (len(work.takes), work.left, work.closes) == (MAX_GAPS, 5, ())


def test_a_gap_that_is_given_up_makes_room_for_another():
    work = plan({}, holes(MAX_GAPS + 1), Budget(), {A: [Span(0, 1)]})
    assert (len(work.takes), work.left, work.closes) == (MAX_GAPS + 1, 0, (Close(A, Span(0, 1)),))


def test_a_gap_that_is_given_up_is_still_filled():
    ledger = Ledger().taken([Span(5, 9)])
    work = plan({A: ledger}, [listed(A, 0, 5)], Budget(), {A: [Span(0, 5)]})
    assert work.takes[0].spans == (Span(0, 5),)
    assert work.closes == ()


def test_a_waiting_batch_does_not_hide_one_that_fills_a_gap():
    taken = Ledger().taken(batch.span for batch in holes(MAX_GAPS))
    work = plan({A: taken}, [listed(A, 10_000, 10_001), listed(A, 2, 3)], Budget(), {})
    assert [take.spans for take in work.takes] == [(Span(2, 3),), (Span(10_000, 10_001),)]
