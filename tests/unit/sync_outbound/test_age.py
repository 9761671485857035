"""What time to believe, whatever clocks do."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.sync.outbound.age import SETTLING, TOLERANCE, believe
from tests.unit.sync_outbound.columns import NOW_US

MINUTE = 60_000_000
YEAR = 365 * 24 * 60 * MINUTE


def believed(*readings):
    """Beliefs after (wall, uptime) readings."""
    beliefs = []
    for wall, uptime in readings:
        beliefs.append(believe(beliefs[-1] if beliefs else None, wall, uptime))
    return [belief.now for belief in beliefs]


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ([(NOW_US, SETTLING)], [NOW_US]),
        ([(NOW_US, SETTLING), (NOW_US + MINUTE, SETTLING + MINUTE)], [NOW_US, NOW_US + MINUTE]),
        # In a boot's first hour no clock is believed.
        ([(NOW_US, 5), (NOW_US + SETTLING, SETTLING)], [0, NOW_US + SETTLING]),
        # Set back: followed at once, and forwards again from there.
        ([(NOW_US, SETTLING), (NOW_US - YEAR, SETTLING + 1)], [NOW_US, NOW_US - YEAR]),
        # A leap, and back within the hour.
        (
            [(NOW_US, SETTLING), (NOW_US + YEAR, SETTLING + 5), (NOW_US + 10, SETTLING + 10)],
            [NOW_US, NOW_US + 5, NOW_US + 10],
        ),
        # A leap that stays.
        (
            [(NOW_US, SETTLING), (NOW_US + YEAR, SETTLING + 5), (NOW_US + YEAR + SETTLING, 2 * SETTLING + 5)],
            [NOW_US, NOW_US + 5, NOW_US + YEAR + SETTLING],
        ),
        # Small steps are a clock's business.
        ([(NOW_US, SETTLING), (NOW_US + TOLERANCE, SETTLING)], [NOW_US, NOW_US + TOLERANCE]),
    ],
)
def test_belief(readings, expected):
    assert believed(*readings) == expected


@given(st.lists(st.tuples(st.integers(-YEAR, YEAR), st.integers(0, SETTLING)), min_size=1, max_size=8))
def test_never_later_than_the_clock_nor_ahead_of_the_time_that_passed(steps):
    uptime, readings = SETTLING, []
    for off, passed in steps:
        uptime += passed
        readings.append((NOW_US + uptime + off, uptime))
    times = believed(*readings)
    assert all(time <= wall for time, (wall, _) in zip(times, readings, strict=True))
    for index in range(1, len(times)):
        ran = readings[index][1] - readings[index - 1][1]
        settled = readings[index][1] - readings[0][1] >= SETTLING
        assert settled or times[index] <= times[index - 1] + ran + TOLERANCE
