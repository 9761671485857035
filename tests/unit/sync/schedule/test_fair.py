import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.sync.schedule.fair import Fair, Flow

A = Flow(("A", "a", "Live"), (8.0, 1.0, 3.0))
A_HISTORY = Flow(("A", "a", "History"), (8.0, 1.0, 1.0))
A2 = Flow(("A", "a2", "Live"), (8.0, 1.0, 3.0))
B = Flow(("B", "b", "Live"), (1.0, 1.0, 3.0))


def serve(fair: Fair, flows: list[Flow], turns: int, size: int = 100) -> tuple[Fair, dict[Flow, int]]:
    got = dict.fromkeys(flows, 0)
    for _ in range(turns):
        chosen = fair.choose(flows)
        got[chosen] += size
        fair = fair.served(chosen, size)
    return fair, got


def test_bytes_are_shared_by_weight_whatever_the_number_of_streams():
    _, got = serve(Fair(), [A, A2, B], 900)
    assert got[A] == pytest.approx(got[A2], abs=100)
    assert got[A] + got[A2] == pytest.approx(8 * got[B], rel=0.02)


def test_the_newest_has_three_quarters_and_history_the_rest():
    _, got = serve(Fair(), [A, A_HISTORY], 400)
    assert got[A] == pytest.approx(3 * got[A_HISTORY], rel=0.02)


def test_what_had_nothing_to_send_saved_up_nothing():
    fair, _ = serve(Fair(), [B], 1000)
    _, got = serve(fair, [A, B], 90)
    assert got[A] == pytest.approx(8 * got[B], rel=0.15)
    fair, _ = serve(Fair(), [A], 1000)
    _, got = serve(fair, [A, B], 90)
    assert got[A] == pytest.approx(8 * got[B], rel=0.15)


def test_nothing_to_choose_from_is_an_error():
    with pytest.raises(ValueError, match="nothing"):
        Fair().choose([])


@given(st.lists(st.tuples(st.sets(st.sampled_from([A, A_HISTORY, A2, B]), min_size=1), st.integers(1, 10_000))))
def test_whoever_always_has_something_is_served_again_and_again(story):
    fair, waited = Fair(), 0
    for flows, size in story:
        chosen = fair.choose(sorted(flows | {B}, key=lambda flow: flow.path))
        waited = 0 if chosen is B else waited + size
        # Until B's turn, A may get its weight times one turn of B, and a turn more.
        assert waited <= 8 * 10_000 + 20_000
        fair = fair.served(chosen, size)
