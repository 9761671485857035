"""Follows the file that says who may send events, which may change, or go, at any time.

Once a node knew producers it goes by them until another file can be read: a Secret that was deleted, or one that can't
be understood, opens nothing (it closes nothing either). To open the port again, write `"anonymous": ["*"]`.
"""

from pathlib import Path

import structlog

from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError
from skerry_edge.ingest.producers import MAX_DOCUMENT_BYTES, NOBODY, Producers, read_note, read_producers

FILE = "producers.json"

_log = structlog.get_logger(__name__)


class ProducersKeeper:
    """`look` is called by one thread, `admit` by any."""

    def __init__(self, folder: Path, note: Path) -> None:
        """`folder` may hold FILE; `note` is the node's own copy. Looks at both."""
        self._path = folder / FILE
        self._note = note
        self._complaint = ""
        self._producers = self._noted = self._read_note()
        self.look()

    def admit(self, stream: str, authorization: str | None) -> None:
        """Let a request pass, or raise RefusedError. While nobody was ever named, everybody may send."""
        if self._producers is not None:
            self._producers.admit(stream, authorization)

    def look(self) -> None:
        """Go by the file as it is now; what is wrong with it is logged once."""
        try:
            found = self._read()
            if found is not None:
                self._producers = found
                if found != self._noted:
                    write_file(self._note, found.to_note(), mode=0o600)
                    self._noted = found
            complaint = ""
        except (UserMustActError, OSError) as error:
            # Asked for and not understood: nobody, unless it is known who.
            self._producers = self._producers or NOBODY
            complaint = str(error)
        if complaint and complaint != self._complaint:
            _log.error("producers can't be read", reason="ProducersInvalid", message=complaint)
        self._complaint = complaint

    def _read(self) -> Producers | None:
        try:
            with self._path.open("rb") as file:
                data = file.read(MAX_DOCUMENT_BYTES + 1)
        except FileNotFoundError:
            return None
        if len(data) > MAX_DOCUMENT_BYTES:
            raise UserMustActError("ProducersInvalid", f"{FILE} has more than {MAX_DOCUMENT_BYTES} bytes")
        return read_producers(data)

    def _read_note(self) -> Producers | None:
        try:
            with self._note.open("rb") as file:
                return read_note(file.read(MAX_DOCUMENT_BYTES))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.error("the node's copy of producers can't be read", reason="ProducersInvalid", message=str(error))
            return NOBODY
