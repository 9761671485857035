"""Dead letters of refused events: each once, however the process ends.

A letter is noted in the commit that makes the position behind its event durable, then written to the log, then taken
out of the note by the next commit. A process that dies in between finds it in its note, and looks in the log, behind
where that ended when the letter was noted, whether it is there by its id. Only as much as a power cut takes of the
dead-letter log (50 ms) can be lost, and nothing is there twice.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from skerry_core.batch.flags import Flags
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.normalize import Refusal
from skerry_edge.events.follow import Place, Tail
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.features.note import Letter
from skerry_edge.ingest.dead_letters import LetterLog, encode_letter
from skerry_edge.ingest.errors import Malformed

MAX_LETTERS = 64
"""Noted in one commit, by version; the rest is counted as lost, as ingest does in a storm."""
_READ = 1000
_REMEMBERED = 4096


class _Id(msgspec.Struct):
    id: str = ""


_decode = msgspec.json.Decoder(_Id).decode


class Clock(Protocol):
    """The node's clock."""

    def __call__(self) -> int:
        """Microseconds since 1970 UTC."""
        ...


def letter_of(document: FeatureSetDocument, epoch: str, seq: int, refusal: Refusal, body: bytes) -> Letter:
    """The letter of the event `seq` that a set refuses; whichever version refuses it, it is the same letter."""
    name = f"{document.namespace}/{document.name}"
    identity = hashlib.blake2b(f"{name} {epoch} {seq}".encode(), digest_size=16).hexdigest()
    malformed = Malformed(refusal.reason, f"{name} {document.version}: field {refusal.field!r}", body)
    return Letter(identity, encode_letter(document.stream, f"features:{name}", malformed, identity))


class LetterBox:
    """Writes letters to the dead-letter log. Used by one thread."""

    def __init__(self, folder: Path, log: LetterLog, clock: Clock) -> None:
        """`folder` is the log's."""
        self._folder = folder
        self._log = log
        self._clock = clock
        self._written: dict[str, None] = {}

    def end(self) -> Place:
        """Where the log ends by now, or before. Raises OSError."""
        return Tail(self._folder).end()

    def deliver(self, letters: Sequence[Letter]) -> int:
        """Write letters, but for those that another version of the same set gave; how many found no room."""
        now = self._clock()
        letters = [letter for letter in letters if letter.id not in self._written]
        self._written.update(dict.fromkeys(letter.id for letter in letters))
        while len(self._written) > _REMEMBERED:
            del self._written[next(iter(self._written))]
        return sum(
            self._log.append_soon(
                lambda _, letter=letter: NewRecord(letter.body, now, now, Flags.TIME_MISSING)  # type: ignore[misc]
            )
            is None
            for letter in letters
        )

    def missing(self, letters: Sequence[Letter], since: Place) -> list[Letter]:
        """Of letters that a process before this one noted, those that it didn't write. Raises OSError."""
        if not letters:
            return []
        reader = LogReader(self._folder)
        identity = reader.identity
        at = since.seq + 1 if identity is not None and identity.epoch == since.epoch else 1
        there = set()
        while batches := reader.read(at, _READ):
            for batch in batches:
                for record in batch.records():
                    try:
                        there.add(_decode(record.body).id)
                    except ValueError:
                        continue
            at = batches[-1].last + 1
        return [letter for letter in letters if letter.id not in there]
