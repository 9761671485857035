"""Looks after logs while a process runs: checks what is closed once, then lets what is too old expire."""

import threading
from collections.abc import Callable

import structlog

from skerry_core.errors import SkerryError
from skerry_edge.events.logs import EventLogs

PERIOD_SECONDS = 60.0

_log = structlog.get_logger(__name__)


class LogKeeper:
    """A daemon thread; a disk that can't be read or written now is tried again with the next turn."""

    def __init__(self, logs: EventLogs, period: float = PERIOD_SECONDS) -> None:
        """`period` is in seconds."""
        self._logs = logs
        self._period = period
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
        self._guarded(lambda: self._logs.verify(self._stopping.is_set))
        while not self._stopping.wait(self._period):
            self._guarded(self._logs.expire)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except (OSError, SkerryError) as error:
            _log.warning("logs can't be looked after", error=str(error))
