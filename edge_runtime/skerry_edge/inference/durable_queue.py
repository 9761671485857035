"""Durable writes that must happen in order, and in the end, on a disk that may refuse for a while."""

from collections import deque
from collections.abc import Callable

import structlog

_log = structlog.get_logger(__name__)

Write = Callable[[], None]


class DurableQueue:
    """Runs writes at once, or in order later: one that failed holds back those behind it. Used by one thread."""

    def __init__(self) -> None:
        self._waiting: deque[Write] = deque()

    def run(self, write: Write) -> None:
        """Write now, or when what waits before it has been written."""
        self._waiting.append(write)
        self.retry()

    def retry(self) -> None:
        """Write what waits, up to the first OSError."""
        while self._waiting:
            try:
                self._waiting[0]()
            except OSError as error:
                _log.warning("state can't be written, trying again", error=str(error), waiting=len(self._waiting))
                return
            self._waiting.popleft()
