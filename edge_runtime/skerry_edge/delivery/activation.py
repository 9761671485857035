"""Which releases inference holds on to, from the state that it keeps on disk."""

from pathlib import Path

from skerry_core.assignment.document import ReleaseRef
from skerry_edge.inference.activation.state import Kept


def read_activation(folder: Path) -> tuple[ReleaseRef, ...] | None:
    """Champion and previous release of every model; None if any file can't be read, so that nothing is assumed.

    Before inference has kept anything there is no folder, and nothing to hold on to.
    """
    releases: list[ReleaseRef] = []
    try:
        for path in folder.glob("*.json"):
            kept = Kept.model_validate_json(path.read_bytes())
            releases += [release for release in (kept.champion, kept.previous) if release is not None]
    except (OSError, ValueError):
        return None
    return tuple(releases)
