"""Digests that this node has judged bad, on disk; they outlive the process, the model's removal and its return."""

from pathlib import Path

from pydantic import ValidationError

from skerry_api.v1alpha1.fields import ApiModel
from skerry_core.durable import write_file
from skerry_core.errors import WaitError
from skerry_edge.inference.activation.state import BadRelease, ModelKey


class _File(ApiModel):
    models: dict[str, tuple[BadRelease, ...]] = {}


class QuarantineFile:
    """Owns quarantine.json. Used by one thread."""

    def __init__(self, path: Path) -> None:
        """Read the file if it is there; WaitError `StateUnreadable` if it is there and can't be read.

        Going on without it could run a release again that killed the process.
        """
        self._path = path
        try:
            self._models = dict(_File.model_validate_json(path.read_bytes()).models)
        except FileNotFoundError:
            self._models = {}
        except (OSError, ValidationError) as error:
            raise WaitError("StateUnreadable", f"{path} can't be read: {error}") from error

    def of(self, key: ModelKey) -> tuple[BadRelease, ...]:
        """Digests judged bad for one model, oldest first."""
        return self._models.get(str(key), ())

    def add(self, key: ModelKey, entry: BadRelease) -> None:
        """Add a digest, durably. Raises OSError; the entry then counts in memory, and the next `add` writes it too.

        The same entry may be added again, as a write that failed is: it stays one.
        """
        if entry not in self.of(key):
            self._models[str(key)] = (*self.of(key), entry)
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_file(self._path, _File(models=self._models).model_dump_json(by_alias=True, exclude_none=True).encode())
