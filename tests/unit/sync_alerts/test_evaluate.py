"""From records to alerts: which, how many, and the same ones each time."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_core.batch.contents import LogName, Row
from skerry_core.batch.flags import Flags
from skerry_core.sync_policy.document import AlertPolicy
from skerry_edge.sync.alerts.evaluate import BURST, EVERY_MS, evaluate
from skerry_edge.sync.alerts.predicate import Predicate

LOG = LogName("site-1", "node-1", "readings", "ab" * 8)


def predicate(name="hot", when="event.v > 5"):
    return Predicate.compile(AlertPolicy(name=name, stream="*", when=when, message=f"{name}!"))


HOT, COLD = predicate(), predicate("cold", "event.v < 0")


def row(seq, value, ms=0, flags=0, ahead=0):
    """Of a node whose clock shows `ms`; it was `ahead` ms further once, so hybrid time has stood there since."""
    body = json.dumps({"v": value, "name": "Ann"}).encode()
    return Row(seq, (ms + ahead << 16) + seq, 1_000_000 + seq, ms * 1000, flags, body)


def test_each_match_makes_one():
    evaluated = evaluate([HOT, COLD], LOG, [row(1, 7), row(2, 0), row(3, -1), row(4, "x")], {})
    assert [(alert.name, alert.seq) for alert in evaluated.alerts] == [("hot", 1), ("cold", 3)]
    assert evaluated.undecided == {("hot", "TypeError"): 1, ("cold", "TypeError"): 1}
    assert evaluated.suppressed == {}


def test_what_is_no_record_is_undecided_for_all():
    evaluated = evaluate([HOT, COLD], LOG, [Row(1, 0, 0, 0, 0, b"?")], {})
    assert sum(evaluated.undecided.values()) == 2


def test_a_record_names_its_source_and_tells_nothing_else_of_it():
    [alert] = evaluate([HOT], LOG, [row(7, 9, flags=Flags.TIME_SKEWED | 1 << 12)], {}).alerts
    record = alert.record(received=5)
    event = json.loads(record.body)
    assert (record.time, record.received, record.flags) == (1_000_007, 5, Flags.TIME_SKEWED)
    assert event == {
        "specversion": "1.0",
        "id": alert.id,
        "source": "/sites/site-1/nodes/node-1",
        "type": "dev.skerry.alert",
        "subject": "hot",
        "datacontenttype": "application/json",
        "data": {
            "alert": "hot",
            "message": "hot!",
            "stream": "readings",
            "epoch": LOG.epoch,
            "seq": 7,
            "suppressed": 0,
        },
    }


def test_ids_differ_by_alert_and_record_only():
    ids = set()
    for log in (LOG, LogName("site-1", "node-2", "readings", LOG.epoch), LogName("site-1", "node-1", "readings", "cd")):
        for one in (HOT, predicate("hotter")):
            for seq in (1, 2):
                [alert] = evaluate([one], log, [row(seq, 9)], {}).alerts
                assert evaluate([one, COLD], log, [row(seq, 10, ms=99)], {}).alerts[0].id == alert.id
                ids.add(alert.id)
    assert len(ids) == 12


@pytest.mark.parametrize(
    ("waits", "suppressed"),
    [
        ([0] * BURST, {}),
        ([0] * (BURST + 3), {"hot": 3}),
        ([0] * (BURST + 3) + [EVERY_MS], {"hot": 3}),
        ([0] * BURST + [EVERY_MS] * 5, {}),
        ([0] * BURST + [EVERY_MS - 1, 1, 0], {"hot": 2}),
    ],
)
def test_rate_is_bounded(waits, suppressed):
    ms, rows = 10**12, []
    for seq, wait in enumerate(waits, 1):
        ms += wait
        rows.append(row(seq, 9, ms))
    evaluated = evaluate([HOT], LOG, rows, {})
    assert evaluated.suppressed == suppressed
    assert len(evaluated.alerts) + sum(suppressed.values()) == len(waits)


@pytest.mark.parametrize("ahead", [2 * EVERY_MS, 10**12])
def test_a_clock_that_was_ahead_suppresses_none_for_long(ahead):
    """Once it was set right, time goes on from there."""
    now = 10**12
    before = evaluate([HOT], LOG, [row(seq, 9, now + ahead) for seq in range(1, BURST + 1)], {})
    rows = [row(BURST + n, 9, now + n * EVERY_MS, ahead=ahead - n * EVERY_MS) for n in range(1, 6)]
    evaluated = evaluate([HOT], LOG, rows, before.buckets)
    assert len(evaluated.alerts) >= 3


def test_the_next_alert_tells_how_many_were_suppressed():
    rows = [row(seq, 9, 1) for seq in range(BURST + 3)]
    first = evaluate([HOT], LOG, rows, {})
    assert first.buckets["hot"].suppressed == 3
    again = evaluate([HOT], LOG, [row(20, 9, EVERY_MS + 1), row(21, 9, 2 * EVERY_MS + 1)], first.buckets)
    assert [alert.suppressed for alert in again.alerts] == [3, 0]


@given(st.lists(st.tuples(st.integers(-1, 9), st.integers(0, EVERY_MS // 2)), max_size=40), st.integers(0, 40))
def test_cut_anywhere_the_alerts_are_the_same(steps, cut):
    ms, rows = 0, []
    for seq, (value, wait) in enumerate(steps, 1):
        ms += wait
        rows.append(row(seq, value, ms))
    whole = evaluate([HOT, COLD], LOG, rows, {})
    first = evaluate([HOT, COLD], LOG, rows[:cut], {})
    second = evaluate([HOT, COLD], LOG, rows[cut:], first.buckets)
    assert [*first.alerts, *second.alerts] == list(whole.alerts)
    assert second.buckets == whole.buckets
    matches = sum(value > 5 for value, _ in steps)
    made = [alert for alert in whole.alerts if alert.name == "hot"]
    assert len(made) + sum(alert.suppressed for alert in made) + whole.buckets["hot"].suppressed == matches
    assert len(made) <= BURST + ms // EVERY_MS + 1
