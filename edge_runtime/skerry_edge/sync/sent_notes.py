"""What the store is known to have of each log, and can have, on disk: `uploaded.json`, by the log's epoch."""

import json
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import structlog

from skerry_core.durable import write_file
from skerry_edge.events.record import FIRST_SEQ
from skerry_edge.sync.positions import Sent

_log = structlog.get_logger()
_NOTHING_SENT = Sent()


@dataclass(frozen=True, slots=True)
class _Note:
    """Of one log: what the store has, and the highest number that was ever on its way there."""

    stream: str = ""
    sent: Sent = _NOTHING_SENT
    reach: int = FIRST_SEQ - 1

    def to_wire(self) -> dict[str, Any]:
        return {"stream": self.stream, **self.sent.to_wire(), "reach": self.reach}

    @classmethod
    def from_wire(cls, noted: Mapping[str, Any]) -> "_Note":
        sent = Sent.from_wire(noted)
        return cls(str(noted["stream"]), sent, max(int(noted.get("reach", 0)), sent.last))


_NOTHING = _Note()


class SentNotes:
    """Keeps the file. Threads share it. A file that can't be read notes nothing: the store is asked then."""

    def __init__(self, path: Path) -> None:
        """Read the file."""
        self._path = path
        self._lock = threading.Lock()
        found = _read(path)
        self._lost = found is None
        self._notes = found or {}

    def of(self, epoch: str) -> Sent:
        """What is noted of a log."""
        with self._lock:
            return self._notes.get(epoch, _NOTHING).sent

    def reach(self, epoch: str) -> int | None:
        """The highest number of a log that the store can have from this node; None if the file was lost."""
        with self._lock:
            note = self._notes.get(epoch)
            return None if note is None and self._lost else (note or _NOTHING).reach

    def believe(self, epoch: str, stream: str, last: int) -> None:
        """Take it that the store can have a log's numbers up to `last`; written with the next note.

        Where there was no file it is written at once, if that can be done: so a disk that is put back to before
        anything was sent has one, and isn't taken for one whose note was lost.
        """
        with self._lock:
            note = self._notes.get(epoch, _Note(stream))
            self._notes[epoch] = replace(note, stream=stream, reach=max(note.reach, last))
            if self._lost:
                with suppress(OSError):
                    self._write()

    def will_reach(self, epoch: str, stream: str, last: int) -> None:
        """Note durably, before they are sent, that the store may have numbers up to `last`. Raises OSError."""
        with self._lock:
            note = self._notes.get(epoch, _Note(stream))
            if last > note.reach:
                self._notes[epoch] = replace(note, stream=stream, reach=last)
                self._write()

    def note(self, epoch: str, stream: str, sent: Sent) -> None:
        """Note what it has durably. Raises OSError; it is remembered all the same, since the store does have it."""
        with self._lock:
            before = self._notes.get(epoch, _NOTHING)
            note = _Note(stream, sent, max(before.reach, sent.last))
            if note == before:
                return
            self._notes[epoch] = note
            self._write()

    def durable(self, epoch: str) -> Sent:
        """What the file says of a log: what may be removed from the node. Nothing if the file can't be read."""
        return (_read(self._path) or {}).get(epoch, _NOTHING).sent

    def forget(self, alive: Collection[str]) -> None:
        """Drop logs that are no longer here; written with the next note."""
        with self._lock:
            for epoch in self._notes.keys() - set(alive):
                del self._notes[epoch]

    def _write(self) -> None:
        write_file(self._path, json.dumps({epoch: note.to_wire() for epoch, note in self._notes.items()}).encode())


def _read(path: Path) -> dict[str, _Note] | None:
    """What the file says; None if there is none, or none that can be read."""
    try:
        noted = json.loads(path.read_bytes())
        return {str(epoch): _Note.from_wire(entry) for epoch, entry in noted.items()}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        _log.warning("what was uploaded can't be read, the store is asked", reason="NoteLost", message=str(error))
        return None
