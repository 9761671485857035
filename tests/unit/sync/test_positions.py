import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.sync.positions import Range, Sent, cut, parts, without
from skerry_edge.sync.schedule.plan import Part

ranges = st.builds(lambda after, count: Range(after, after + count), st.integers(0, 60), st.integers(0, 12))


def numbers(*parts: Range) -> set[int]:
    return {seq for part in parts for seq in range(part.after + 1, part.last + 1)}


@given(st.lists(ranges), st.integers(0, 70), ranges)
def test_it_has_what_was_added_and_nothing_else(added, head, wanted):
    sent = Sent().add(added)
    has = numbers(*added)
    assert numbers(Range(0, sent.acked), *sent.ranges) == has
    assert numbers(*sent.gaps(head)) == set(range(1, head + 1)) - has
    assert sent.covers(wanted) == (numbers(wanted) <= has)
    assert numbers(*sent.within(wanted)) == numbers(wanted) & has
    assert sent.last == max(has, default=0)
    assert list(sent.ranges) == sorted(sent.ranges)
    assert Sent.from_wire(sent.to_wire()) == sent


@given(st.lists(ranges), st.integers(0, 70))
def test_parts_are_the_newest_and_the_oldest_gap(added, head):
    sent = Sent().add(added)
    gaps = sent.gaps(max(head, sent.last))
    found = parts(sent, max(head, sent.last))
    assert found.get(Part.LIVE) == (gaps[-1] if gaps else None)
    assert found.get(Part.HISTORY) == (gaps[0] if len(gaps) > 1 else None)


@given(st.lists(ranges), ranges)
def test_without_takes_exactly_that_away(some, done):
    assert numbers(*without(some, done)) == numbers(*some) - numbers(done)


@pytest.mark.parametrize(
    ("count", "split", "expected"),
    [(5, True, Range(15, 20)), (5, False, Range(10, 15)), (10, True, Range(10, 20)), (99, False, Range(10, 20))],
)
def test_a_gap_is_cut_at_its_newest_or_its_oldest(count, split, expected):
    assert cut(Range(10, 20), count, split=split) == expected


@pytest.mark.parametrize("noted", [{}, {"acked": 1}, {"acked": "x", "ranges": []}, {"acked": 1, "ranges": [[1]]}])
def test_a_note_that_is_none_is_an_error(noted):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Sent.from_wire(noted)
