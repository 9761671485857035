"""A queue of keys to reconcile: each waits once at most and is worked on by one thread at a time.

Level-triggered: a key says where to look, never what happened. Failures are retried by the class of their error.
"""

import heapq
import itertools
import random
import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

import structlog

from skerry_core import backoff
from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError

_log = structlog.get_logger()
Key = TypeVar("Key", bound=Hashable)

# The class of an error is its retry policy: at which step of the backoff its first retry is. Even what a person must
# act on is looked at again now and then, as the cause may go away where no event tells of it (in the store, say).
_FIRST_STEPS: dict[type[SkerryError], int] = {RetryError: 1, WaitError: 4, UserMustActError: 6}
_UNEXPECTED_STEP = 6


class WorkQueue(Generic[Key]):
    """Keys and when each is due; `reconcile` returns after how many seconds to look again, None for not by itself."""

    def __init__(
        self,
        reconcile: Callable[[Key], float | None],
        clock: Callable[[], float] = monotonic,
        dice: Callable[[], float] = random.random,
    ) -> None:
        """`clock` counts seconds; `dice` spreads retries, by numbers in [0, 1)."""
        self._reconcile = reconcile
        self._clock = clock
        self._dice = dice
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._busy: set[Key] = set()
        self._failures: dict[Key, int] = {}
        self._changed = threading.Condition()
        self._stopped = False
        self._workers: list[threading.Thread] = []

    def add(self, key: Key, delay: float = 0.0) -> None:
        """Have a key looked at after `delay` seconds, or sooner if it waits for that already."""
        with self._changed:
            due = self._clock() + delay
            if key in self._due and self._due[key] <= due:
                return
            self._due[key] = due
            heapq.heappush(self._heap, (due, next(self._order), key))
            self._changed.notify()

    def start(self, workers: int) -> None:
        """Work on keys in this many threads until `stop`."""
        for number in range(workers):
            worker = threading.Thread(target=self._work, name=f"reconcile-{number}", daemon=True)
            worker.start()
            self._workers.append(worker)

    @property
    def works(self) -> bool:
        """Tell whether it was started and every worker lives."""
        return bool(self._workers) and all(worker.is_alive() for worker in self._workers)

    def stop(self) -> None:
        """Take no more keys; work under way ends by itself."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    def run_due(self) -> int:
        """Work on every key that is due now, in this thread; how many there were."""
        count = 0
        while (key := self._take(wait=False)) is not None:
            self._handle(key)
            count += 1
        return count

    def _work(self) -> None:
        while (key := self._take(wait=True)) is not None:
            self._handle(key)

    def _take(self, *, wait: bool) -> Key | None:
        with self._changed:
            while not self._stopped:
                timeout = None
                postponed = []
                while self._heap:
                    due, order, key = self._heap[0]
                    if self._due.get(key) != due:
                        heapq.heappop(self._heap)  # asked for again, sooner
                        continue
                    if (timeout := due - self._clock()) > 0:
                        break
                    heapq.heappop(self._heap)
                    if key in self._busy:
                        postponed.append((due, order, key))
                        continue
                    for entry in postponed:
                        heapq.heappush(self._heap, entry)
                    del self._due[key]
                    self._busy.add(key)
                    return key
                for entry in postponed:
                    heapq.heappush(self._heap, entry)
                if not wait:
                    return None
                # A key that is busy is taken when its worker says that it is done.
                self._changed.wait(None if timeout is None or timeout <= 0 else timeout)
            return None

    def _handle(self, key: Key) -> None:
        again: float | None
        try:
            again = self._reconcile(key)
            self._failures.pop(key, None)
        except SkerryError as error:
            again = self._patience(key, next(step for kind, step in _FIRST_STEPS.items() if isinstance(error, kind)))
            _log.info(
                "reconcile will be tried again", key=str(key), reason=error.reason, message=str(error), after=again
            )
        except Exception:  # noqa: BLE001 - a defect in one object's reconcile must not take the others' worker with it
            again = self._patience(key, _UNEXPECTED_STEP)
            _log.exception("reconcile failed unexpectedly", key=str(key))
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()
        if again is not None:
            self.add(key, again)

    def _patience(self, key: Key, first_step: int) -> float:
        """Seconds until a key's next retry; only the worker that has the key comes here."""
        failures = self._failures[key] = self._failures.get(key, 0) + 1
        return backoff.delay(first_step + failures - 1, self._dice()).total_seconds()
