import pytest

from skerry_core.batch.flags import Flags
from skerry_edge.ingest.limits import TIME_AHEAD, TIME_BEHIND
from skerry_edge.ingest.node_time import CODE_WRITTEN, NodeTime, Reading, stamp

SECOND = 1_000_000
NOW = CODE_WRITTEN + 10**9 * SECOND
AHEAD, BEHIND = (int(limit.total_seconds()) * SECOND for limit in (TIME_AHEAD, TIME_BEHIND))


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (None, (NOW, Flags.TIME_MISSING)),
        (NOW, (NOW, Flags.NONE)),
        (NOW + AHEAD, (NOW + AHEAD, Flags.NONE)),
        (NOW + AHEAD + 1, (NOW + AHEAD + 1, Flags.TIME_SKEWED)),
        (NOW - BEHIND, (NOW - BEHIND, Flags.NONE)),
        (NOW - BEHIND - 1, (NOW - BEHIND - 1, Flags.TIME_SKEWED)),
        (0, (0, Flags.TIME_SKEWED)),
    ],
)
@pytest.mark.parametrize("suspect", [False, True])
def test_event_times_against_the_nodes(said, expected, suspect):
    time, flags = stamp(said, Reading(NOW, suspect))
    assert (time, flags) == (expected[0], expected[1] | (Flags.CLOCK_SUSPECT if suspect else Flags.NONE))


def test_a_clock_before_the_code_was_written_is_suspect():
    assert NodeTime(lambda: 0).read() == Reading(0, suspect=True)
    assert not NodeTime(lambda: NOW).read().suspect


def test_a_clock_before_what_the_log_has_seen_is_suspect():
    clock = [NOW]
    time = NodeTime(lambda: clock[0])
    time.seen(NOW + 3600 * SECOND)
    assert time.read().suspect
    clock[0] = NOW + 3600 * SECOND
    assert not time.read().suspect


def test_a_clock_that_goes_back_is_suspect_until_it_has_caught_up():
    clock = [NOW]
    time = NodeTime(lambda: clock[0])
    time.read()
    for moment, suspect in ((-3600, True), (-3599, True), (-1, False), (0, False)):
        clock[0] = NOW + moment * SECOND
        assert time.read().suspect is suspect
