"""Taking a lab down to the last trace, whatever state an earlier run left it in.

Nothing here trusts a record: what belongs to the lab is found by what the kernel knows (cgroups, namespaces, mounts)
and by the marker in each process's environment, so a lab whose start was killed at any point goes as clean as a
whole one.
"""

from __future__ import annotations

import os
import shutil
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from . import cgroups, daemons, namespaces, network
from .errors import LabError

if TYPE_CHECKING:
    from .layout import Layout


def everything(layout: Layout) -> int:
    """Kill and remove all that carries the lab's prefix; return how many processes were killed. Idempotent.

    The build cache stays. Raises LabError naming what the kernel would not let go of.
    """
    killed = _kill_all(layout)
    _unmount_below(layout.state)
    network.remove(layout)
    cgroups.remove(layout.prefix)
    if layout.state.exists():
        shutil.rmtree(layout.state)
    return killed


def _kill_all(layout: Layout, *, seconds: float = 30) -> int:
    """Kill by cgroup, by marker, and whoever still lives in one of the lab's networks (a test's client, say)."""
    killed = cgroups.kill(layout.prefix)
    deadline = time.monotonic() + seconds
    while left := _stragglers(layout):
        if time.monotonic() > deadline:
            names = ", ".join(f"{pid} ({cgroups.command(pid)})" for pid in sorted(left))
            raise LabError(f"still running after SIGKILL and {seconds:.0f} s: {names}")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed += len(left)
        time.sleep(0.05)
        killed += cgroups.kill(layout.prefix)  # a straggler may have been on its way into a group
    return killed


def _stragglers(layout: Layout) -> set[int]:
    found = daemons.marked(f"{layout.prefix}:")
    for path in network.netns_paths(layout):
        found |= namespaces.members(path)
    return found - {os.getpid()}


def _unmount_below(folder: Path) -> None:
    """Unmount what is mounted in this namespace at or below ``folder``; the nodes' own mounts died with them."""
    points = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    below = [point for point in points if Path(point).is_relative_to(folder)]
    for point in sorted(below, reverse=True):
        namespaces.command(["umount", point])
