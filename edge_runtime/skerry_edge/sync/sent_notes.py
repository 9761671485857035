"""What the store is known to have of each log, on disk: `uploaded.json`, by the log's epoch."""

import json
import threading
from collections.abc import Collection
from pathlib import Path

import structlog

from skerry_core.durable import write_file
from skerry_edge.sync.positions import Sent

_log = structlog.get_logger()


class SentNotes:
    """Keeps the file. Threads share it. A file that can't be read notes nothing: the store is asked then."""

    def __init__(self, path: Path) -> None:
        """Read the file."""
        self._path = path
        self._lock = threading.Lock()
        self._sent = _read(path)

    def of(self, epoch: str) -> Sent:
        """What is noted of a log."""
        with self._lock:
            return self._sent.get(epoch, ("", Sent()))[1]

    def note(self, epoch: str, stream: str, sent: Sent) -> None:
        """Note it durably. Raises OSError; it is remembered all the same, since the store does have it."""
        with self._lock:
            if self._sent.get(epoch) == (stream, sent):
                return
            self._sent[epoch] = (stream, sent)
            self._write()

    def durable(self, epoch: str) -> Sent:
        """What the file says of a log: what may be removed from the node. Nothing if the file can't be read."""
        return _read(self._path).get(epoch, ("", Sent()))[1]

    def forget(self, alive: Collection[str]) -> None:
        """Drop logs that are no longer here; written with the next note."""
        with self._lock:
            for epoch in self._sent.keys() - set(alive):
                del self._sent[epoch]

    def _write(self) -> None:
        noted = {epoch: {"stream": stream, **sent.to_wire()} for epoch, (stream, sent) in self._sent.items()}
        write_file(self._path, json.dumps(noted).encode())


def _read(path: Path) -> dict[str, tuple[str, Sent]]:
    try:
        noted = json.loads(path.read_bytes())
        return {str(epoch): (str(entry["stream"]), Sent.from_wire(entry)) for epoch, entry in noted.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("what was uploaded can't be read, the store is asked", reason="NoteLost", message=str(error))
        return {}
