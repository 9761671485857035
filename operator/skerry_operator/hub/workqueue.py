"""A queue of keys to reconcile: each waits once at most and is worked on by one thread at a time.

Level-triggered: a key says where to look, never what happened. Failures are retried by the class of their error.
"""

import heapq
import itertools
import threading
from collections.abc import Callable, Hashable
from time import monotonic
from typing import Generic, TypeVar

import structlog

from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError

_log = structlog.get_logger()
Key = TypeVar("Key", bound=Hashable)

# The class of an error is its retry policy. Even what a person must act on is looked at again now and then, as the
# cause may go away where no event tells of it (in the store, say).
_DELAYS: dict[type[SkerryError], float] = {RetryError: 0.5, WaitError: 10.0, UserMustActError: 30.0}
_UNEXPECTED = 30.0


class WorkQueue(Generic[Key]):
    """Keys and when each is due; `reconcile` returns after how many seconds to look again, None for not by itself."""

    def __init__(self, reconcile: Callable[[Key], float | None], clock: Callable[[], float] = monotonic) -> None:
        self._reconcile = reconcile
        self._clock = clock
        self._due: dict[Key, float] = {}
        self._heap: list[tuple[float, int, Key]] = []
        self._order = itertools.count()
        self._busy: set[Key] = set()
        self._changed = threading.Condition()
        self._stopped = False

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
            threading.Thread(target=self._work, name=f"reconcile-{number}", daemon=True).start()

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
        again: float | None = _UNEXPECTED
        try:
            again = self._reconcile(key)
        except SkerryError as error:
            again = next(delay for kind, delay in _DELAYS.items() if isinstance(error, kind))
            _log.info(
                "reconcile will be tried again", key=str(key), reason=error.reason, message=str(error), after=again
            )
        except Exception:  # noqa: BLE001 - a defect in one object's reconcile must not take the others' worker with it
            _log.exception("reconcile failed unexpectedly", key=str(key))
        finally:
            with self._changed:
                self._busy.discard(key)
                self._changed.notify_all()
        if again is not None:
            self.add(key, again)
