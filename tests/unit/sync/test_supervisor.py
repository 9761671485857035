import threading
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from skerry_core.errors import WaitError
from skerry_edge.sync.supervisor import Loop, Supervisor

SOON = timedelta(milliseconds=1)
NEVER = timedelta(hours=1)
LIMIT = 10


@pytest.fixture
def run():
    """Runs loops until the test ends; returns the registry of their failures."""
    started = []

    def start(*loops: Loop) -> CollectorRegistry:
        registry = CollectorRegistry()
        supervisor = Supervisor(loops, registry)
        started.append(supervisor)
        supervisor.start()
        return registry

    yield start
    for supervisor in started:
        supervisor.stop()


class Steps:
    """A step that does one thing after another; `reached` is set with the last."""

    def __init__(self, *actions):
        self.actions = iter(actions)
        self.reached = threading.Event()

    def __call__(self) -> timedelta:
        action = next(self.actions, None)
        if action is None:
            self.reached.set()
            return NEVER
        if isinstance(action, Exception):
            raise action
        return action


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (WaitError("StoreUnavailable", "down"), "StoreUnavailable"),
        (OSError("read-only file system"), "DiskFault"),
        (ZeroDivisionError("a bug"), "Unexpected"),
    ],
)
def test_a_failed_step_is_counted_with_its_reason_and_tried_again(run, fault, reason):
    steps = Steps(fault)
    registry = run(Loop("upload", steps))
    assert steps.reached.wait(LIMIT)
    assert registry.get_sample_value("skerry_sync_failures_total", {"loop": "upload", "reason": reason}) == 1


def test_a_loop_that_hangs_or_fails_holds_up_no_other(run):
    released = threading.Event()
    steps = Steps(SOON, SOON)

    def hang() -> timedelta:
        released.wait()
        return NEVER

    def fail() -> timedelta:
        raise WaitError("StoreUnavailable", "down")

    run(Loop("hangs", hang), Loop("fails", fail), Loop("works", steps))
    assert steps.reached.wait(LIMIT)
    released.set()


def test_waking_cuts_a_pause_short(run):
    steps = Steps(NEVER)
    loop = Loop("delivery", steps)
    run(loop)
    loop.wake()
    assert steps.reached.wait(LIMIT)


def test_waking_during_a_step_is_not_lost(run):
    entered, go_on, again = threading.Event(), threading.Event(), threading.Event()

    def step() -> timedelta:
        if entered.is_set():
            again.set()
            return NEVER
        entered.set()
        go_on.wait(LIMIT)
        return NEVER

    loop = Loop("delivery", step)
    run(loop)
    assert entered.wait(LIMIT)
    loop.wake()
    assert loop.woken
    go_on.set()
    assert again.wait(LIMIT)


def test_stopping_ends_a_pausing_loop_at_once():
    steps = Steps()
    supervisor = Supervisor((Loop("delivery", steps),), CollectorRegistry())
    supervisor.start()
    assert steps.reached.wait(LIMIT)
    thread = next(thread for thread in threading.enumerate() if thread.name == "delivery")
    supervisor.stop()
    thread.join(LIMIT)
    assert not thread.is_alive()
