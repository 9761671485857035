"""The store folder that sync writes and this process only reads."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from skerry_core import digest as digests
from skerry_core.errors import WaitError
from skerry_edge.features.snapshots import NEIGHBOURS
from skerry_edge.ingest import inbox

_MAX_JSON_BYTES = 1 << 20


class BlobMissingError(WaitError):
    """Sync has not brought a blob yet."""

    def __init__(self, digest: str) -> None:
        super().__init__("BlobMissing", f"{digest} is not on this node yet")
        self.digest = digest


@dataclass(frozen=True)
class Stamp:
    """What tells that a file, or a folder's entries, may have changed; None for what isn't there."""

    assignment: tuple[int, int, int] | None
    restrictions: tuple[int, int, int] | None
    blobs: tuple[int, int, int] | None


class StoreFolder:
    """Reads; verifies digests of blobs; believes nothing else that it finds."""

    def __init__(self, root: Path) -> None:
        self._assignment = root / "assignment.json"
        self._restrictions = root / "restrictions.json"
        self._downloads = root / "downloads.json"
        self._blobs = root / "blobs" / "sha256"
        self.inbox = root / inbox.NAME
        self.neighbours = root / NEIGHBOURS

    def stamp(self) -> Stamp:
        """Cheap enough to be asked four times a second."""
        return Stamp(_stamp(self._assignment), _stamp(self._restrictions), _stamp(self._blobs))

    def assignment_envelope(self) -> str | None:
        """The newest envelope that sync has; None if there is none, WaitError `AssignmentUnreadable`."""
        found = _read_json(self._assignment, "AssignmentUnreadable")
        if found is None:
            return None
        if not isinstance(found, dict) or not isinstance(found.get("envelope"), str):
            raise WaitError("AssignmentUnreadable", f"{self._assignment} holds no envelope")
        return str(found["envelope"])

    def restrictions(self) -> dict[str, frozenset[str]]:
        """Digests that the site bars, by `namespace/model`; WaitError `RestrictionsUnreadable`."""
        found = _read_json(self._restrictions, "RestrictionsUnreadable")
        if found is None:
            return {}
        try:
            return {str(model): frozenset(map(str, barred)) for model, barred in found["quarantined"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise WaitError("RestrictionsUnreadable", f"{self._restrictions} is malformed") from error

    def downloads(self) -> dict[str, str]:
        """What sync says of blobs that aren't here yet, by digest; it only explains, so errors mean nothing to say."""
        try:
            found = _read_json(self._downloads, "DownloadsUnreadable") or []
            return {str(entry["digest"]): f"{entry['reason']}: {entry['message']}" for entry in found}
        except (WaitError, KeyError, TypeError):
            return {}

    def blob(self, digest: str, max_bytes: int) -> bytes:
        """Read a blob once, and return those very bytes if their digest is the one asked for.

        Raises BlobMissingError, and WaitError `DigestMismatch`, `BlobTooLarge` or `StoreUnreadable`: whatever is wrong
        with a blob on this disk says nothing about the release.
        """
        path = self._blobs / digests.hex_of(digest)
        try:
            with path.open("rb") as file:
                data = file.read(max_bytes + 1)
        except FileNotFoundError as error:
            raise BlobMissingError(digest) from error
        except OSError as error:
            raise WaitError("StoreUnreadable", f"{path} can't be read: {error}") from error
        if len(data) > max_bytes:
            raise WaitError("BlobTooLarge", f"{digest} has more than the {max_bytes} bytes that it may have")
        if digests.of_bytes(data) != digest:
            raise WaitError("DigestMismatch", f"the bytes stored as {digest} are not those; remove {path}")
        return data


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _read_json(path: Path, reason: str) -> Any:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise WaitError(reason, f"{path} can't be read: {error}") from error
    with os.fdopen(descriptor, "rb") as file:
        try:
            return json.loads(file.read(_MAX_JSON_BYTES))
        except (ValueError, RecursionError, OSError) as error:
            raise WaitError(reason, f"{path} can't be read: {error}") from error
