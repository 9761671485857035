"""Takes what other nodes of the site told of consent into this node's log of the stream `consent`.

From there it acts as what was sent to this node does: the redaction, features, aggregates and what leaves the node all
follow that log. Sync takes an entry out of the inbox once it has seen it in the log.
"""

from collections.abc import Callable
from pathlib import Path

import structlog

from skerry_core.errors import SkerryError
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.consent import Relayed, relayed_body
from skerry_edge.ingest.errors import RefusedError
from skerry_edge.ingest.inbox import read_inbox
from skerry_edge.ingest.stream import Stream

_log = structlog.get_logger(__name__)


class ConsentRelay:
    """Used by one thread; `stream` gives the stream `consent`, or raises RefusedError while it isn't open."""

    def __init__(self, inbox: Path, stream: Callable[[], Stream], changed: Callable[[], None]) -> None:
        """`changed` is called once something is durable."""
        self._inbox = inbox
        self._stream = stream
        self._changed = changed
        self._stamp: tuple[int, int] | None = None
        self._failing = False

    def look(self) -> None:
        """Take in what is new; what can't be taken now stays, and is tried again with the next look."""
        try:
            status = self._inbox.stat()
            stamp = (status.st_ino, status.st_mtime_ns)
            if stamp == self._stamp:
                return
            found = read_inbox(self._inbox)
            waiting = () if found is None else found.waiting
            # A repeated one bears the same id, and is a duplicate to the stream.
            accepted = self._stream().accept([_event(each) for each in waiting]).accepted if waiting else 0
        except FileNotFoundError:
            return
        except (OSError, SkerryError, RefusedError) as error:
            if not self._failing:
                _log.warning("what other nodes told of consent can't be recorded now", error=str(error)[:300])
            self._failing = True
            return
        self._stamp, self._failing = stamp, False
        if accepted:
            _log.info("withdrawals that other nodes told of were recorded", count=accepted)
            self._changed()


def _event(relayed: Relayed) -> Event:
    return Event(relayed.source, relayed.id, relayed.type, relayed.entity, None, relayed_body(relayed))
