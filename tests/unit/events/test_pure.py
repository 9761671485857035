"""Decisions that need no disk: time, admission, age, holes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.events.admission import admits, floor_bytes
from skerry_edge.events.block import DATA, LOST, Block
from skerry_edge.events.block import SKIPPED as SKIPPED_NOTE
from skerry_edge.events.clock import HybridClock, milliseconds_of, tick
from skerry_edge.events.expiry import PLAUSIBLE_US, Moment, old_enough
from skerry_edge.events.holes import Hole, HoleReason, holes_in, overlap
from skerry_edge.events.segment import ENDLESS, Damage

MIB = 1 << 20
SKIPPED, DAMAGED = HoleReason.SKIPPED, HoleReason.DAMAGED


@pytest.mark.parametrize(
    ("last", "now", "expected"),
    [
        (0, 1000, 1000 << 16),
        (1000 << 16, 1000, (1000 << 16) + 1),
        ((1000 << 16) + 0xFFFF, 1000, 1001 << 16),
        ((1000 << 16) + 7, 1001, 1001 << 16),
        ((9000 << 16) + 7, 1000, (9000 << 16) + 8),
        ((9000 << 16) + 7, 0, (9000 << 16) + 8),
    ],
)
def test_hybrid_time_follows_the_wall_clock_and_never_goes_back(last, now, expected):
    assert tick(last, now) == expected


@given(st.lists(st.tuples(st.integers(0, 1 << 45), st.integers(1, 70_000), st.integers(0, 1 << 61)), max_size=30))
def test_hybrid_times_only_grow_whatever_the_clock_does(steps):
    now = 0
    clock = HybridClock(lambda: now)
    last = 0
    for now, count, seen in steps:
        first = clock.take(count)
        assert first > last
        assert milliseconds_of(first) >= now
        last = first + count - 1
        clock.observe(seen)
        last = max(last, seen)
        assert clock.last == last


@given(st.integers(0, 4), st.integers(0, 1 << 40), st.integers(1, 1 << 40))
def test_lower_tiers_are_refused_first(tier, free, capacity):
    admitted = [admits(each, free, capacity) for each in range(5)]
    assert admitted == sorted(admitted, reverse=True)
    assert admits(tier, free, capacity) == (free >= floor_bytes(tier, capacity))


@pytest.mark.parametrize(
    ("tier", "capacity", "floor"),
    [(0, 1 << 40, 64 * MIB), (4, 1 << 40, 320 * MIB), (0, 64 * MIB, MIB), (4, 64 * MIB, 5 * MIB)],
)
def test_what_a_tier_leaves_free(tier, capacity, floor):
    assert floor_bytes(tier, capacity) == floor


HOUR, DAY = 3_600_000, 86_400_000
HERE, OTHER = 1, 2
Y2026 = PLAUSIBLE_US + DAY * 1000


@pytest.mark.parametrize(
    ("closed", "now", "expected"),
    [
        # The same boot: how long the machine ran decides, whatever the wall clock says.
        (Moment(Y2026, 1000, HERE), Moment(Y2026, 1000 + DAY, HERE), True),
        (Moment(Y2026, 1000, HERE), Moment(Y2026, 999 + DAY, HERE), False),
        (Moment(0, 1000, HERE), Moment(Y2026, 2000, HERE), False),
        (Moment(Y2026, 1000, HERE), Moment(Y2026 + 9999 * DAY * 1000, 2000, HERE), False),
        # Another boot: the wall clock, once it had an hour to be set.
        (Moment(Y2026, 9 * DAY, OTHER), Moment(Y2026 + DAY * 1000, HOUR, HERE), True),
        (Moment(Y2026, 9 * DAY, OTHER), Moment(Y2026 + DAY * 1000 - 1, HOUR, HERE), False),
        (Moment(Y2026, 9 * DAY, OTHER), Moment(Y2026 + 9999 * DAY * 1000, HOUR - 1, HERE), False),
        # Closed when the clock stood in 1970: counts from this boot on.
        (Moment(5, 9 * DAY, OTHER), Moment(Y2026, HOUR, HERE), False),
        (Moment(5, 9 * DAY, OTHER), Moment(Y2026, DAY, HERE), True),
        (Moment(Y2026, 9 * DAY, OTHER), Moment(5, 9 * DAY, HERE), False),
    ],
)
def test_when_a_segment_is_old_enough(closed, now, expected):
    assert old_enough(closed, now, DAY) is expected


def block(first, count, kind=DATA):
    return Block(0, 0, kind, first, count, memoryview(b""))


HURT = Damage(0, 8)


@pytest.mark.parametrize(
    ("first", "until", "parts", "holes"),
    [
        (10, ENDLESS, [], []),
        (10, ENDLESS, [block(10, 5), block(15, 5)], []),
        (10, ENDLESS, [block(10, 5), block(20, 5)], [(15, 19, SKIPPED)]),
        (10, ENDLESS, [block(10, 5), HURT, block(20, 5)], [(15, 19, DAMAGED)]),
        (10, ENDLESS, [HURT, block(20, 5)], [(10, 19, DAMAGED)]),
        (10, ENDLESS, [block(10, 5), HURT], []),
        (10, 25, [block(10, 5), HURT], [(15, 24, DAMAGED)]),
        (10, 15, [block(10, 5), HURT], []),
        (10, 25, [], [(10, 24, DAMAGED)]),
        (50, ENDLESS, [block(50, 5)], [(10, 49, SKIPPED)]),
        (50, 30, [], [(10, 29, SKIPPED)]),
        (None, ENDLESS, [block(12, 5)], [(10, 11, DAMAGED)]),
        (10, 12, [block(10, 5), block(15, 5)], []),
        (10, 17, [block(10, 5), block(20, 5)], [(15, 16, DAMAGED)]),
        (10, 30, [block(10, 5), block(15, 5, LOST), block(20, 10)], [(15, 19, DAMAGED)]),
        (10, ENDLESS, [block(10, 5), block(15, 5, SKIPPED_NOTE)], [(15, 19, SKIPPED)]),
        (10, 18, [block(10, 5), block(15, 5, LOST)], [(15, 17, DAMAGED)]),
    ],
)
def test_which_numbers_name_nothing(first, until, parts, holes):
    assert list(holes_in(10, until, first, parts)) == [Hole(*hole) for hole in holes]


def test_holes_are_cut_to_what_was_asked_for():
    holes = [Hole(1, 4, SKIPPED), Hole(6, 20, DAMAGED), Hole(30, 40, SKIPPED)]
    assert list(overlap(holes, 3, 8)) == [Hole(3, 4, SKIPPED), Hole(6, 8, DAMAGED)]
