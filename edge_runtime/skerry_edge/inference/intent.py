"""The crash guard: a durable note of every unproven release in this process, read by the next one."""

from datetime import datetime
from pathlib import Path

import structlog
from pydantic import ValidationError

from skerry_api.v1alpha1.fields import ApiModel, Name, Timestamp
from skerry_core.assignment.document import ReleaseRef
from skerry_core.durable import remove_file, write_file

_log = structlog.get_logger(__name__)

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> str:
    """The kernel's id of this boot; a container's restart doesn't change it."""
    return BOOT_ID.read_text(encoding="ascii").strip()


class Intent(ApiModel):
    """One release that was about to be loaded, or in its canary, when the note was written."""

    namespace: Name
    model: Name
    release: ReleaseRef
    boot_id: str
    at: Timestamp


class _File(ApiModel):
    intents: tuple[Intent, ...] = ()


class IntentFile:
    """Owns intent.json; every change is durable when the call returns. Used by one thread."""

    def __init__(self, path: Path, boot: str) -> None:
        self._path = path
        self._boot = boot
        self._intents: dict[str, Intent] = {}

    def left_behind(self) -> tuple[tuple[Intent, bool], ...]:
        """Intents of a process that did not end cleanly, each with whether the machine went down with it.

        A file that can't be read names nobody, and nobody can be blamed: champions have to serve all the same.
        """
        try:
            left = _File.model_validate_json(self._path.read_bytes()).intents
        except FileNotFoundError:
            return ()
        except (OSError, ValidationError) as error:
            _log.error("load-intent markers can't be read", error=str(error)[:300])
            return ()
        return tuple((intent, intent.boot_id != self._boot) for intent in left)

    def mark(self, namespace: str, model: str, release: ReleaseRef, at: datetime) -> None:
        """Note that a release is about to be loaded. Raises OSError: without the note it must not be loaded."""
        intent = Intent(namespace=namespace, model=model, release=release, boot_id=self._boot, at=at)
        self._write({**self._intents, release.digest: intent})

    def is_marked(self, digest: str) -> bool:
        """Tell whether a release's note is on disk."""
        return digest in self._intents

    def clear(self, digest: str) -> None:
        """Remove a release's note, if there is one. Raises OSError."""
        if digest in self._intents:
            self._write({other: intent for other, intent in self._intents.items() if other != digest})

    def clear_left_behind(self) -> None:
        """Remove the notes of the last process, whose cause is dealt with. Raises OSError."""
        self._write(self._intents)

    def clear_all(self) -> None:
        """Remove every note: this process ends cleanly. Raises OSError."""
        self._write({})

    def _write(self, intents: dict[str, Intent]) -> None:
        if intents:
            write_file(self._path, _File(intents=tuple(intents.values())).model_dump_json(by_alias=True).encode())
        elif self._path.exists():
            remove_file(self._path)
        self._intents = intents
