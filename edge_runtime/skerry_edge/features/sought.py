"""Which versions another node's snapshot would help, as a file: sync fetches one. It is no promise, only a wish."""

from collections.abc import Mapping
from pathlib import Path

import msgspec
import structlog

from skerry_core.durable import write_file

NAME = "sought.json"
_MAX_BYTES = 1 << 20

_log = structlog.get_logger(__name__)


def write_sought(folder: Path, versions: Mapping[str, int]) -> None:
    """Write the note durably: by digest, when this node began to compute it (µs since 1970). Raises OSError."""
    write_file(folder / NAME, msgspec.json.encode(dict(versions)))


def read_sought(folder: Path) -> Mapping[str, int]:
    """The note as it is now; nothing if it can't be understood."""
    try:
        with (folder / NAME).open("rb") as file:
            return _decode(file.read(_MAX_BYTES))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("which snapshots would help can't be told", error=str(error)[:200])
        return {}


_decode = msgspec.json.Decoder(dict[str, int]).decode
