from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.sync.schedule.link import LEAST, MOST, SECONDS, LinkHealth


def test_a_link_that_breaks_off_gets_smaller_batches_and_longer_pauses():
    health = LinkHealth()
    limits, pauses = [], []
    for _ in range(30):
        health = health.failed(100.0, 0.0)
        limits.append(health.batch_limit)
        pauses.append(health.retry_at - 100.0)
    assert limits == sorted(limits, reverse=True)
    assert limits[-1] == LEAST
    assert pauses == sorted(pauses)
    assert pauses[-1] <= 30


def test_what_broke_off_is_halved_though_a_fast_link_took_more_before():
    assert LinkHealth().failed(0.0, 0.5, 80_000).batch_limit == 40_000
    assert LinkHealth().failed(0.0, 0.5, 100).batch_limit == MOST // 2, "nobody was reached: that tells of no size"
    assert LinkHealth(batch_limit=50_000).failed(0.0, 0.5, 80_000).batch_limit == 25_000


def test_a_slow_link_is_taken_for_seconds_at_most():
    health = LinkHealth().succeeded(80_000, 10.0)
    assert health.rate == 8000
    assert health.batch_limit == 8000 * SECONDS
    assert LinkHealth().succeeded(100, 10.0).rate is None, "a small exchange tells of delays"


def test_a_success_ends_the_pause_and_what_may_have_mended_it_too():
    health = LinkHealth().failed(100.0, 0.5)
    assert health.retry_at > 100
    assert health.retry_now().retry_at == 0
    assert health.reached().failures == health.succeeded(10, 1.0).failures == 0


@given(st.lists(st.one_of(st.integers(0, 10**8), st.tuples(st.integers(1, 10**8), st.floats(0, 1000)))))
def test_a_batch_is_always_some_and_never_too_much(story):
    health = LinkHealth()
    for done in story:
        health = health.failed(0.0, 0.5, done) if isinstance(done, int) else health.succeeded(*done)
        assert LEAST <= health.batch_limit <= MOST
