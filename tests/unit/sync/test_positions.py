import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.events.identity import POWER_CUT_SKIP
from skerry_edge.sync.log_source import newest_of, records_in
from skerry_edge.sync.positions import Range, Sent, parts, without
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


SKIP = POWER_CUT_SKIP
# 1 to 9, then a power cut in each of two boots: 10 to 14 and 15 to 20, beyond what was skipped.
SEGMENTS = [(1, 10), (10, 15 + SKIP), (15 + SKIP, 21 + 2 * SKIP)]


@pytest.mark.parametrize(
    ("gap", "count", "after"),
    [
        (Range(0, 20 + 2 * SKIP), 4, 16 + 2 * SKIP),
        (Range(0, 20 + 2 * SKIP), 6, 14 + 2 * SKIP),
        (Range(0, 20 + 2 * SKIP), 7, 13 + SKIP),
        (Range(0, 20 + 2 * SKIP), 12, 8),
        (Range(0, 20 + 2 * SKIP), 20, 0),
        (Range(0, 20 + 2 * SKIP), 99, 0),
        # What is left of it may end with numbers that name nothing.
        (Range(0, 14 + 2 * SKIP), 2, 12 + SKIP),
        (Range(0, 9 + SKIP), 2, 7),
        (Range(12 + SKIP, 17 + 2 * SKIP), 4, 13 + SKIP),
        (Range(9, 9 + SKIP), 2, 9),
    ],
)
def test_the_newest_records_are_found_beyond_what_power_cuts_skipped(gap, count, after):
    found = newest_of(gap, count, SEGMENTS)
    assert found == Range(after, gap.last)
    assert records_in(found, SEGMENTS) == min(count, records_in(gap, SEGMENTS))


@pytest.mark.parametrize("noted", [{}, {"acked": 1}, {"acked": "x", "ranges": []}, {"acked": 1, "ranges": [[1]]}])
def test_a_note_that_is_none_is_an_error(noted):
    with pytest.raises((ValueError, KeyError, TypeError)):
        Sent.from_wire(noted)
