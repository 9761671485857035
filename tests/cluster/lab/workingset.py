"""How much memory each container really uses, read from its cgroup: no metrics server, no API server needed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from . import cgroups

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import ClusterSpec

# The kubelet links each container's log here: <pod>_<namespace>_<container>-<64 hex digits>.log
_LOG_LINK = re.compile(r"(?P<pod>[^_]+)_[^_]+_(?P<container>.+)-(?P<id>[0-9a-f]{64})\.log")


def container_names(folder: Path) -> dict[str, tuple[str, str]]:
    """(pod, container) by container id, from the names of the log links in ``folder``."""
    matches = (_LOG_LINK.fullmatch(path.name) for path in folder.glob("*.log"))
    return {match["id"]: (match["pod"], match["container"]) for match in matches if match}


def sample(spec: ClusterSpec) -> dict[tuple[str, str], int]:
    """Working set in bytes, now, of each running container by (pod, container).

    The kernel keeps a high-water mark of usage only, page cache included; the peak of the working set (usage less
    inactive file pages, which is what eviction and ``kubectl top`` reckon with) can only be had by sampling.
    """
    names = container_names(spec.disk / "log/containers")
    sizes = cgroups.memory_groups(f"{spec.cgroup}/kubepods")
    found: dict[tuple[str, str], int] = {}
    for container_id, size in sizes.items():
        if container_id in names:
            key = names[container_id]
            found[key] = max(size, found.get(key, 0))
    return found
