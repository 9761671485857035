"""Looks after logs while a process runs: checks once what was closed when they were opened, lets what is old expire.

Logs are opened at any time (ingest's, when a policy names their streams), so each is checked when it is first seen. The
check reads at a pace that leaves the disk to those who append.
"""

import threading
import time
from collections.abc import Callable
from functools import partial

import structlog

from skerry_core.errors import SkerryError
from skerry_edge.events.logs import EventLogs

PERIOD_SECONDS = 60.0
# A gigabyte in half a minute.
CHECKED_BYTES_PER_SECOND = 32 << 20

_log = structlog.get_logger(__name__)


class LogKeeper:
    """A daemon thread; a disk that can't be read or written now is tried again with the next turn."""

    def __init__(
        self, logs: EventLogs, period: float = PERIOD_SECONDS, bytes_per_second: float = CHECKED_BYTES_PER_SECOND
    ) -> None:
        """`period` is in seconds."""
        self._logs = logs
        self._period = period
        self._bytes_per_second = bytes_per_second
        # By stream, the number before which all is checked; of those that are done with, all of it.
        self._checked: dict[str, int] = {}
        self._done: set[str] = set()
        self._expired_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="log-keeper", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End, after what is just being done."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            for stream in self._logs.settings().keys() - self._done:
                self._guarded(partial(self._check, stream))
            self._stopping.wait(max(self._expired_at + self._period - time.monotonic(), 0))
            self._expire()

    def _check(self, stream: str) -> None:
        for until, size in self._logs.check(stream, self._checked.get(stream, 0)):
            self._checked[stream] = until
            if self._stopping.wait(size / self._bytes_per_second):
                return
            self._expire()
        self._done.add(stream)

    def _expire(self) -> None:
        """Let expire what is old, if it is time."""
        now = time.monotonic()
        if now - self._expired_at >= self._period and not self._stopping.is_set():
            self._expired_at = now
            self._guarded(self._logs.expire)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, SkerryError) as error:
            _log.warning("logs can't be looked after", error=str(error))
