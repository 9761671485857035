import threading

import pytest

from skerry_core.errors import RetryError, UserMustActError, WaitError
from skerry_operator.hub.workqueue import WorkQueue


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_key_that_was_added_often_is_handled_once():
    seen = []
    queue = WorkQueue(seen.append)
    for key in ("a", "b", "a", "a"):
        queue.add(key)
    assert queue.run_due() == 2
    assert seen == ["a", "b"]


def test_the_earlier_of_two_dates_counts():
    clock, seen = Clock(), []
    queue = WorkQueue(seen.append, clock)
    queue.add("a", 10)
    queue.add("a", 5)
    queue.add("a", 60)
    clock.now = 4.9
    assert queue.run_due() == 0
    clock.now = 5
    assert queue.run_due() == 1
    clock.now = 100
    assert queue.run_due() == 0


@pytest.mark.parametrize(
    ("error", "delay"),
    [
        (RetryError("Conflict", "again"), 0.5),
        (WaitError("StoreUnavailable", "later"), 10),
        (UserMustActError("Invalid", "act"), 30),
        (ZeroDivisionError(), 30),
    ],
)
def test_an_errors_class_is_its_retry_policy(error, delay):
    clock, outcomes = Clock(), [error, None]

    def reconcile(_):
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    queue = WorkQueue(reconcile, clock)
    queue.add("a")
    queue.run_due()
    clock.now = delay - 0.01
    assert queue.run_due() == 0
    clock.now = delay
    assert queue.run_due() == 1
    assert outcomes == []


def test_what_a_reconcile_returns_is_when_it_looks_again():
    clock, answers = Clock(), [7.0, None]
    queue = WorkQueue(lambda _: answers.pop(0), clock)
    queue.add("a")
    queue.run_due()
    clock.now = 7
    assert queue.run_due() == 1
    assert answers == []


def test_one_key_is_never_with_two_workers_and_is_looked_at_again_after_a_change_meanwhile():
    inside, overlap, seen = threading.Semaphore(1), [], []
    entered, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def reconcile(key):
        if not inside.acquire(blocking=False):
            overlap.append(key)
        seen.append(key)
        entered.set()
        go_on.wait(5)
        inside.release()
        if len(seen) == 2:
            done.set()

    queue = WorkQueue(reconcile)
    queue.start(3)
    queue.add("a")
    assert entered.wait(5)
    queue.add("a")
    go_on.set()
    assert done.wait(5)
    queue.stop()
    assert seen == ["a", "a"]
    assert overlap == []
