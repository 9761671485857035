"""Each model's activation on disk: `activation/<namespace>.<model>.json`."""

from pathlib import Path

import structlog
from pydantic import ValidationError

from skerry_core.durable import remove_file, write_file
from skerry_edge.inference.activation.state import Kept, ModelKey

_log = structlog.get_logger(__name__)


class KeptFiles:
    """Owns the folder. Used by one thread."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory

    def read_all(self) -> tuple[Kept, ...]:
        """What was kept of every model. A damaged file is reported and passed over: the assignment brings it back."""
        kept = []
        for path in sorted(self._directory.glob("*.json")):
            try:
                kept.append(Kept.model_validate_json(path.read_bytes()))
            except (OSError, ValidationError) as error:
                _log.error("activation state can't be read", path=path.name, error=str(error)[:300])
        return tuple(kept)

    def write(self, kept: Kept) -> None:
        """Replace one model's file, durably. Raises OSError."""
        path = self._path(ModelKey(kept.namespace, kept.model))
        write_file(path, kept.model_dump_json(by_alias=True, exclude_none=True).encode())

    def remove(self, key: ModelKey) -> None:
        """Forget a model, durably. Raises OSError."""
        remove_file(self._path(key))

    def _path(self, key: ModelKey) -> Path:
        return self._directory / f"{key.namespace}.{key.name}.json"
