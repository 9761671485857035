"""Each model's watch on disk, `drift/<namespace>.<model>.json`: a restart goes on with the window that was open."""

from pathlib import Path

import msgspec
import structlog

from skerry_core.drift.watch import Watch
from skerry_core.durable import remove_file, write_file
from skerry_edge.inference.activation.state import ModelKey

_log = structlog.get_logger(__name__)


class WatchFiles:
    """Owns the folder. Used by one thread. A disk that refuses costs what was seen, never the watching."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def read(self, key: ModelKey) -> Watch | None:
        """What was kept of a model; None if nothing was, or it can't be read."""
        path = self._path(key)
        try:
            return msgspec.json.decode(path.read_bytes(), type=Watch)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.DecodeError) as error:
            _log.warning("drift state can't be read", path=path.name, error=str(error)[:300])
            return None

    def write(self, key: ModelKey, watch: Watch) -> None:
        """Replace a model's file, durably."""
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
            write_file(self._path(key), msgspec.json.encode(watch))
        except OSError as error:
            _log.warning("drift state not kept", model=str(key), error=str(error))

    def remove(self, key: ModelKey) -> None:
        """Forget a model."""
        try:
            remove_file(self._path(key))
        except OSError as error:
            _log.warning("drift state not removed", model=str(key), error=str(error))

    def _path(self, key: ModelKey) -> Path:
        return self._directory / f"{key.namespace}.{key.name}.json"
