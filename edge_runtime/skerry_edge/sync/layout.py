"""Where everything is on the node's volume; one place, so that a path is spelled once."""

from dataclasses import dataclass
from pathlib import Path

from skerry_edge.features.snapshots import NEIGHBOURS
from skerry_edge.ingest import inbox


@dataclass(frozen=True)
class Layout:
    """Paths below the volume's root.

    `store` and `sync` are written by sync alone; of `inference` it only removes uploaded log segments.
    """

    root: Path

    @property
    def assignment(self) -> Path:
        return self.root / "store" / "assignment.json"

    @property
    def restrictions(self) -> Path:
        return self.root / "store" / "restrictions.json"

    @property
    def downloads(self) -> Path:
        return self.root / "store" / "downloads.json"

    @property
    def blobs(self) -> Path:
        return self.root / "store" / "blobs"

    @property
    def activation(self) -> Path:
        return self.root / "inference" / "activation"

    @property
    def log(self) -> Path:
        return self.root / "inference" / "log"

    @property
    def features(self) -> Path:
        return self.root / "inference" / "features"

    @property
    def neighbours(self) -> Path:
        return self.root / "store" / NEIGHBOURS

    @property
    def grant(self) -> Path:
        return self.root / "sync" / "grant.json"

    @property
    def uploaded(self) -> Path:
        return self.root / "sync" / "uploaded.json"

    @property
    def fence(self) -> Path:
        return self.root / "store" / "log-fence.json"

    @property
    def inbox(self) -> Path:
        return self.root / "store" / inbox.NAME

    @property
    def withdrawals(self) -> Path:
        return self.root / "sync" / "withdrawals.json"

    @property
    def own_log(self) -> Path:
        return self.root / "sync" / "log"

    @property
    def traffic(self) -> Path:
        return self.root / "sync" / "traffic.json"

    @property
    def link(self) -> Path:
        return self.root / "sync" / "link.json"

    @property
    def policy(self) -> Path:
        return self.root / "sync" / "policy.json"
