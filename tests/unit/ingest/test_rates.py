from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.ingest.limits import BURST_SECONDS, MAX_PRODUCERS, PRODUCER_SHARE
from skerry_edge.ingest.rates import Excess, Rate, StreamRates, full, refilled, spent, wait_for


@given(
    rate=st.floats(0.1, 1000),
    burst=st.floats(1, 1000),
    asks=st.lists(st.tuples(st.floats(0, 10), st.integers(0, 50)), max_size=60),
)
def test_no_more_than_rate_and_burst_pass_but_for_one_request(rate, burst, asks):
    limit = Rate(rate, burst)
    now, passed, largest = 0.0, 0, 0
    bucket = full(limit, now)
    for pause, count in asks:
        now += pause
        bucket = refilled(bucket, limit, now)
        seconds = wait_for(bucket, limit, count)
        if not seconds:
            bucket, passed, largest = spent(bucket, count), passed + count, max(largest, count)
        else:
            assert not wait_for(refilled(bucket, limit, now + seconds + 1e-6), limit, count)
    assert passed <= burst + rate * now + largest + 1e-6


def test_a_clock_that_goes_back_brings_nothing():
    limit = Rate(1, 1)
    empty = spent(full(limit, 100), 1)
    assert refilled(empty, limit, 0).tokens == 0


def test_a_stream_without_a_rate_takes_what_each_producer_may_send():
    rates = StreamRates(None)
    assert all(rates.take({f"/s{n}": 5000}, 0.0) is None for n in range(50))


def test_the_streams_rate_holds_for_all_producers_together():
    rates = StreamRates(10)
    for n in range(10):
        assert rates.take({f"/s{n}": 10}, 0.0) is None
    excess = rates.take({"/s11": 1}, 0.0)
    assert excess == Excess(0.1, None)
    assert rates.take({"/s11": 1}, 0.1 + 1e-9) is None


def test_one_producer_can_not_shut_out_the_others():
    rates = StreamRates(10)
    while (excess := rates.take({"/noisy": 1}, 0.0)) is None:
        pass
    assert excess.source == "/noisy"
    left = round(10 * BURST_SECONDS * (1 - PRODUCER_SHARE))
    assert all(rates.take({"/quiet": 1}, 0.0) is None for _ in range(left))


def test_what_is_refused_is_not_counted():
    rates = StreamRates(10)
    while rates.take({"/noisy": 1}, 0.0) is None:
        pass
    for _ in range(1000):
        assert rates.take({"/quiet": 10, "/noisy": 10}, 0.0) is not None
    assert rates.take({"/quiet": 10}, 0.0) is None


def test_a_request_larger_than_the_burst_passes_once_and_is_paid_for():
    rates = StreamRates(1)
    assert rates.take({"/s": 1000}, 0.0) is None
    excess = rates.take({"/s": 1}, 0.0)
    assert excess is not None
    assert excess.seconds > 900


def test_producers_are_forgotten_beyond_a_number():
    rates = StreamRates(None)
    for n in range(2 * MAX_PRODUCERS):
        rates.take({f"/s{n}": 1}, 0.0)
    assert len(rates._producers) == MAX_PRODUCERS


def test_nothing_passes_at_any_time():
    rates = StreamRates(1)
    rates.take({"/s": 1000}, 0.0)
    assert rates.take({}, 0.0) is None
