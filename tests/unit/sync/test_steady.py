import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.sync.steady import Steady


class Machine:
    """A clock that anybody may set, and a time since the boot."""

    def __init__(self):
        self.boot, self.up, self.wall = "boot-1", 100.0, 1e9

    def start(self, noted=None) -> Steady:
        return Steady(self.boot, lambda: self.up, lambda: self.wall, noted)

    def passes(self, seconds: float) -> None:
        self.up += seconds
        self.wall += seconds

    def reboots(self, off: float, wall: float | None = None) -> None:
        self.boot, self.up, self.wall = f"{self.boot}'", 5.0, self.wall + off if wall is None else wall


def test_begins_at_zero_and_goes_with_the_machine_whatever_the_clock_says():
    machine = Machine()
    steady = machine.start()
    assert steady.now() == 0
    machine.passes(60)
    machine.wall -= 1e8
    assert steady.now() == 60


def test_goes_on_over_a_restart_of_the_process():
    machine = Machine()
    steady = machine.start()
    machine.passes(60)
    noted = steady.note()
    machine.passes(10)
    machine.wall += 1e8
    assert machine.start(noted).now() == 70


@pytest.mark.parametrize(
    ("off", "wall", "expected"),
    [(600, None, 600), (0, 0.0, 5), (0, 1e10, 86400)],
    ids=["believed", "clock lost: what it has run", "clock years ahead: a day"],
)
def test_over_a_reboot_the_clock_is_believed_with_care(off, wall, expected):
    machine = Machine()
    noted = machine.start().note()
    machine.reboots(off, wall)
    assert machine.start(noted).now() == expected


@pytest.mark.parametrize(
    "noted", [{}, {"at": "x"}, {"at": 5, "bootId": "boot-1", "uptime": None}, {"at": 1, "bootId": 2}]
)
def test_a_note_that_is_none_begins_anew(noted):
    assert Machine().start(noted).now() == 0


steps = st.one_of(
    st.floats(0, 1e6).map(lambda seconds: ("passes", seconds)),
    st.floats(-1e9, 1e9).map(lambda seconds: ("set", seconds)),
    st.floats(0, 1e5).map(lambda seconds: ("reboot", seconds)),
    st.just(("restart", 0)),
)


@given(st.lists(steps))
def test_never_goes_back_and_never_ahead_of_the_truth_by_more_than_a_day_each_boot(story):
    machine = Machine()
    steady, last, ran, boots = machine.start(), 0.0, 0.0, 0
    for what, seconds in story:
        match what:
            case "passes":
                machine.passes(seconds)
                ran += seconds
            case "set":
                machine.wall += seconds
            case "restart":
                steady = machine.start(steady.note())
            case "reboot":
                noted = steady.note()
                machine.reboots(seconds)
                ran += seconds
                boots += 1
                steady = machine.start(noted)
        assert steady.now() >= last - 1e-3
        last = steady.now()
    assert last <= ran + boots * 86400 + 1e-3
