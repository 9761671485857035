"""A few daemon threads with a bounded queue: a model that hangs must not keep the process from ending."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")


class Busy(Exception):  # noqa: N818 - a state, and one that passes
    """The queue is full, or closed."""


class Workers:
    """Runs work in `threads` threads; at most `pending` pieces are queued or running."""

    def __init__(self, name: str, *, threads: int, pending: int) -> None:
        self._queue: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = queue.SimpleQueue()
        self._slots = threading.BoundedSemaphore(pending)
        self._threads = threads
        self._stopped = False
        self._lock = threading.Lock()
        for number in range(threads):
            threading.Thread(target=self._run, name=f"{name}-{number}", daemon=True).start()

    def submit(self, work: Callable[[], T]) -> "Future[T]":
        """Queue work; its result or exception is in the future. Raises Busy."""
        future: Future[T] = Future()
        with self._lock:
            if self._stopped or not self._slots.acquire(blocking=False):
                raise Busy
            self._queue.put((future, work))
        return future

    def stop(self) -> None:
        """Take nothing more, and let the threads end once the queue is empty; doesn't wait for them."""
        with self._lock:
            if not self._stopped:
                self._stopped = True
                for _ in range(self._threads):
                    self._queue.put(None)

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            future, work = item
            try:
                if future.set_running_or_notify_cancel():
                    try:
                        result = work()
                    except BaseException as error:  # noqa: BLE001 - it belongs to whoever waits for the future
                        future.set_exception(error)
                    else:
                        future.set_result(result)
            finally:
                self._slots.release()
                # An idle thread would go on holding what it last worked with: a whole model, of a canary that ended.
                del item, future, work
