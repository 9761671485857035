"""Whether the site's link costs by the byte: what the chart says, until the site's owner says otherwise in a file."""

import json
from pathlib import Path

import structlog

_MAX_BYTES = 4096
_log = structlog.get_logger()


class MeteredFlag:
    """Reads `link.json`, {"metered": true} or {"metered": false}, whenever asked; a script may replace it any time."""

    def __init__(self, path: Path, *, default: bool) -> None:
        """`default` holds while there is no such file."""
        self._path = path
        self._default = default
        self._told = ""

    def __call__(self) -> bool:
        """What holds now. A file that can't be understood counts as metered: a mistake then costs time, no money."""
        try:
            with self._path.open("rb") as file:
                said = json.loads(file.read(_MAX_BYTES))["metered"]
            if isinstance(said, bool):
                self._told = ""
                return said
            trouble = "`metered` is neither true nor false"
        except FileNotFoundError:
            return self._default
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            trouble = f"{type(error).__name__}: {error}"
        if trouble != self._told:
            self._told = trouble
            _log.warning("link.json can't be read, so the link counts as metered", reason="LinkFile", message=trouble)
        return True
