"""Which releases inference holds on to, from the state that it keeps on disk."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from skerry_core.assignment.document import ReleaseRef
from skerry_edge.inference.activation.state import Kept


@dataclass(frozen=True)
class Activation:
    """Releases that inference holds on to, and the digest of the one that serves of each `namespace/model`."""

    releases: tuple[ReleaseRef, ...] = ()
    champions: Mapping[str, str] = field(default_factory=dict)


def read_activation(folder: Path) -> Activation | None:
    """Champion and previous release of every model; None if any file can't be read, so that nothing is assumed.

    Before inference has kept anything there is no folder, and nothing to hold on to.
    """
    releases: list[ReleaseRef] = []
    champions: dict[str, str] = {}
    try:
        for path in folder.glob("*.json"):
            kept = Kept.model_validate_json(path.read_bytes())
            releases += [release for release in (kept.champion, kept.previous) if release is not None]
            if kept.champion is not None:
                champions[f"{kept.namespace}/{kept.model}"] = kept.champion.digest
    except (OSError, ValueError):
        return None
    return Activation(tuple(releases), champions)
