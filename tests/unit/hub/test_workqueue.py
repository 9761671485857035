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


CONFLICT = RetryError("Conflict", "again")


def failing(clock, outcomes, dice=1.0):
    """A queue whose one key meets these outcomes, and how long it waited after each failure."""
    waits = []

    def reconcile(_):
        outcome = outcomes.pop(0)
        if outcome is not None:
            raise outcome

    queue = WorkQueue(reconcile, clock, dice=lambda: dice)
    queue.add("a")
    queue.run_due()
    while outcomes:
        since = clock.now
        while queue.run_due() == 0:
            clock.now += 0.25
        waits.append(clock.now - since)
    return waits


@pytest.mark.parametrize(
    ("error", "delays"),
    [
        (CONFLICT, [1, 2, 4, 8, 16, 30, 30]),
        (WaitError("StoreUnavailable", "later"), [8, 16, 30, 30]),
        (UserMustActError("Invalid", "act"), [30, 30]),
        (ZeroDivisionError(), [30, 30]),
    ],
)
def test_an_errors_class_is_its_retry_policy_and_repetition_makes_patient(error, delays):
    assert failing(Clock(), [error] * len(delays) + [None]) == delays


def test_a_success_in_between_begins_anew():
    clock, outcomes = Clock(), [CONFLICT, CONFLICT, 5.0, CONFLICT, None]

    def reconcile(_):
        if isinstance(outcome := outcomes.pop(0), RetryError):
            raise outcome
        return outcome

    queue = WorkQueue(reconcile, clock, dice=lambda: 1.0)
    queue.add("a")
    for due in (0, 1, 3, 8, 9):
        clock.now = due
        assert queue.run_due() == 1
    assert outcomes == []


def test_retries_of_many_keys_are_spread():
    assert failing(Clock(), [CONFLICT, CONFLICT, None], dice=0.0) == [0.5, 1]


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
