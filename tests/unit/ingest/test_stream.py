"""Duplicates, one append a request, and what several requests do to each other."""

import json
import threading
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.batch.flags import Flags
from skerry_edge.events.record import MAX_BODY
from skerry_edge.events.settings import LogFailedError, LogFullError
from skerry_edge.ingest.errors import RefusedError
from skerry_edge.ingest.seen_ids import id_key
from skerry_edge.ingest.stream import Receipt, refusal
from skerry_edge.ingest.window import Window
from tests.unit.ingest.worlds import FAILED, FULL, NOW, ScriptedLog, event, stream_over


def test_all_events_of_a_call_are_one_append():
    log = ScriptedLog()
    stream, _ = stream_over(log)
    receipt = stream.accept([event(n) for n in range(5)])
    assert receipt == Receipt(5, 0, sum(len(record.body) for record in log.records), 1, 5)
    assert log.appends == 1


def test_times_and_flags_are_stored():
    log = ScriptedLog()
    stream, _ = stream_over(log)
    stream.accept([event(1), event(2, time="1999-12-31T23:59:59.25Z")])
    assert [(record.time, record.received, record.flags) for record in log.records] == [
        (NOW, NOW, Flags.TIME_MISSING),
        (946_684_799_250_000, NOW, Flags.TIME_SKEWED),
    ]


def test_a_retry_is_a_duplicate_and_stores_nothing():
    log = ScriptedLog()
    stream, _ = stream_over(log)
    stream.accept([event(1), event(2)])
    assert stream.accept([event(2), event(3), event(1)]) == Receipt(1, 2, len(event(3).body), 3, 3)
    assert stream.accept([event(1)]) == Receipt(0, 1, 0, None, None)
    assert log.ids == ["1", "2", "3"]
    assert log.appends == 2


def test_the_same_event_twice_in_one_request():
    log = ScriptedLog()
    stream, _ = stream_over(log)
    assert stream.accept([event(1), event(1), event(1, source="/other")]).duplicates == 1
    assert len(log.records) == 2


def test_events_without_an_id_of_their_own_are_never_duplicates():
    log = ScriptedLog()
    stream, _ = stream_over(log)
    made = event(1).__class__("/s", "x", "t", None, None, b"{}", given_id=False)
    assert stream.accept([made, made]).accepted == 2
    assert stream.accept([made]).accepted == 1


@pytest.mark.parametrize("error", [FULL, FAILED])
def test_what_was_refused_can_be_sent_again(error):
    log = ScriptedLog([error])
    stream, _ = stream_over(log)
    with pytest.raises(type(error)):
        stream.accept([event(1), event(2)])
    assert stream.accept([event(1), event(2)]).accepted == 2


def test_an_id_is_new_again_after_the_window():
    log = ScriptedLog()
    stream, clock = stream_over(log)
    stream.accept([event(1)])
    clock[0] = 3599.0
    assert stream.accept([event(1)]).duplicates == 1
    clock[0] = 3600.0 * 1.25 + 1
    assert stream.accept([event(1)]).accepted == 1


def test_another_policy_holds_from_the_next_event_on():
    stream, _ = stream_over(ScriptedLog())
    assert stream.pace([event(n) for n in range(100)]) is None
    stream.adopt(stream.policy.model_copy(update={"max_rate": 1.0, "max_body": 100}), 100)
    assert stream.max_body == 100
    assert stream.pace([event(n) for n in range(10)]) is not None or stream.pace([event(1)]) is not None
    stream.adopt(stream.policy.model_copy(update={"max_rate": None, "max_body": 1 << 20}), 100)
    assert stream.max_body == MAX_BODY
    assert stream.pace([event(n) for n in range(1000)]) is None


def in_thread(work):
    result = []
    thread = threading.Thread(target=lambda: result.append(work()), daemon=True)
    thread.start()
    return thread, result


class WatchedWindow(Window):
    """Tells when somebody has to wait for another."""

    def __init__(self, window):
        super().__init__(window._seen)
        self.waits = threading.Event()

    def claim(self, keys, now):
        claim = super().claim(keys, now)
        if claim.waiting:
            self.waits.set()
        return claim


def two_at_once(log):
    stream, _ = stream_over(log)
    stream.window = window = WatchedWindow(stream.window)
    log.gate.clear()
    first, told_first = in_thread(lambda: attempt(stream, [event(1), event(2)]))
    assert log.entered.wait(5)
    second, told_second = in_thread(lambda: attempt(stream, [event(2)]))
    assert window.waits.wait(5)
    assert not told_second
    log.gate.set()
    first.join(5)
    second.join(5)
    return told_first[0], told_second[0]


def attempt(stream, events):
    try:
        return stream.accept(events)
    except (LogFullError, LogFailedError) as error:
        return error


def test_a_concurrent_duplicate_is_answered_after_the_first_is_durable():
    log = ScriptedLog()
    first, second = two_at_once(log)
    assert (first.accepted, second.accepted, second.duplicates) == (2, 0, 1)
    assert log.ids == ["1", "2"]


def test_a_concurrent_duplicate_is_stored_if_the_first_fails():
    log = ScriptedLog([FAILED])
    first, second = two_at_once(log)
    assert first is FAILED
    assert (second.accepted, second.duplicates) == (1, 0)
    assert log.ids == ["2"]


def test_requests_that_hold_what_the_other_needs_both_end():
    """Each stores its own before it waits for the other's, so there is no circle."""
    log = ScriptedLog()
    stream, _ = stream_over(log)
    threads = [
        in_thread(lambda order=order: [stream.accept([event(f"{turn}-{n}") for n in order]) for turn in range(200)])
        for order in ((1, 2, 3), (3, 2, 1), (2, 3, 1))
    ]
    for thread, _ in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert Counter(log.ids).most_common(1)[0][1] == 1
    assert len(log.ids) == 600
    receipts = [receipt for _, (found,) in threads for receipt in found]
    assert sum(receipt.accepted for receipt in receipts) == 600
    assert sum(receipt.duplicates for receipt in receipts) == 1200


def test_nobody_waits_for_ever():
    stream, _ = stream_over(ScriptedLog())
    claim = stream.window.claim([id_key("/s", "1")], 0)
    stream._steady = iter([0.0, 0.0, 100.0, 100.0]).__next__
    with pytest.raises(RefusedError) as refused:
        stream.accept([event(1)])
    assert refused.value.status == 503
    stream.window.release(claim)


@pytest.mark.slow
@given(
    requests=st.lists(
        st.tuples(
            st.lists(st.tuples(st.integers(0, 8), st.sampled_from(["/a", "/b"])), min_size=1, max_size=6),
            st.sampled_from([None, None, None, FULL, FAILED]),
        ),
        max_size=20,
    )
)
@settings(max_examples=150, deadline=None)
def test_every_acknowledged_event_is_stored_exactly_once(requests):
    """The model: a set of acknowledged ids; retried until acknowledged, they are all there, once."""
    log = ScriptedLog([error for _, error in requests])
    stream, _ = stream_over(log)
    acknowledged = set()
    for ids, _ in requests:
        log_has = len(log.records)
        told = attempt(stream, [event(n, source=source) for n, source in ids])
        if isinstance(told, Receipt):
            assert told.accepted == len(log.records) - log_has == len(set(ids) - acknowledged)
            assert told.accepted + told.duplicates == len(ids)
            acknowledged |= set(ids)
        else:
            assert len(log.records) == log_has
    found = [(int(body["id"]), body["source"]) for body in (json.loads(record.body) for record in log.records)]
    assert sorted(found) == sorted(acknowledged)


@pytest.mark.parametrize(("error", "status"), [(FULL, 507), (FAILED, 503)])
def test_a_logs_refusal_as_a_requests(error, status):
    told = refusal(error)
    assert (told.status, told.reason) == (status, error.reason)
    assert told.retry_after
