"""Control groups: how the lab finds, kills and measures its own processes, exactly and without pid files.

A process can't leave its cgroup by forking, renaming itself or losing its parent, so "what is in the group" is the
one true answer to "what belongs to this cluster". Works on version 1 (a tree per controller) and version 2 (one).
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from functools import cache
from pathlib import Path

from .errors import LabError

_V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids", "hugetlb")


@cache
def hierarchies() -> tuple[Path, ...]:
    """Mount points of all cgroup trees. A hybrid machine (version 1 plus an empty version 2) yields both."""
    found: dict[Path, None] = {}
    for line in Path("/proc/mounts").read_text().splitlines():
        _, where, kind, *_ = line.split()
        if kind in ("cgroup", "cgroup2"):
            found[Path(where)] = None
    if not found:
        raise LabError("no cgroup tree is mounted; the kubelet needs one (mount /sys/fs/cgroup)")
    return tuple(found)


def _is_v2(tree: Path) -> bool:
    return (tree / "cgroup.controllers").exists()


def create(group: str) -> list[Path]:
    """Make ``group`` in every tree, parents included, ready to take processes; return its folders."""
    folders = []
    for tree in hierarchies():
        folder = tree
        for part in Path(group).parts:
            if _is_v2(tree):
                for controller in _V2_CONTROLLERS:
                    with suppress(OSError):  # not every kernel has every controller
                        (folder / "cgroup.subtree_control").write_text(f"+{controller}")
            parent, folder = folder, folder / part
            folder.mkdir(exist_ok=True)
            # A new cpuset (version 1) is empty and refuses every process until both files are filled.
            for name in ("cpuset.cpus", "cpuset.mems"):
                if not _is_v2(tree) and (folder / name).exists() and not (folder / name).read_text().strip():
                    (folder / name).write_text((parent / name).read_text())
        folders.append(folder)
    return folders


def _read_pids(group_folder: Path) -> set[int]:
    found: set[int] = set()
    for folder, _, _ in os.walk(group_folder):
        with suppress(OSError):  # a pod's group may go while we look
            found.update(int(pid) for pid in (Path(folder) / "cgroup.procs").read_text().split() if pid != "0")
    return found


def pids(group: str) -> set[int]:
    """All processes in ``group`` and below, in any tree, as pids of this machine. Zombies don't count."""
    found: set[int] = set()
    for tree in hierarchies():
        found |= _read_pids(tree / group)
    return {pid for pid in found if not is_zombie(pid)}


def is_zombie(pid: int) -> bool:
    """Whether ``pid`` is dead but for its parent's notice, or gone altogether."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in ("Z", "X")


def kill(group: str, *, seconds: float = 20) -> int:
    """SIGKILL everything in ``group`` until nothing is left there; return how many processes it took.

    Raises LabError with the survivors if some are left after ``seconds`` (stuck in the kernel).
    """
    killed: set[int] = set()
    deadline = time.monotonic() + seconds
    while left := pids(group):
        if time.monotonic() > deadline:
            names = ", ".join(f"{pid} ({command(pid)})" for pid in sorted(left))
            raise LabError(f"cgroup {group}: still there after SIGKILL and {seconds:.0f} s: {names}")
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed |= left
        time.sleep(0.02)
    return len(killed)


def remove(group: str, *, seconds: float = 10) -> None:
    """Remove ``group`` and everything below it from every tree. Raises LabError if the kernel keeps one busy."""
    deadline = time.monotonic() + seconds
    for tree in hierarchies():
        while (tree / group).exists():
            for folder, _, _ in os.walk(tree / group, topdown=False):
                with suppress(OSError):
                    Path(folder).rmdir()
            if time.monotonic() > deadline:
                raise LabError(f"cgroup {tree / group} can't be removed; it holds {sorted(pids(group))}")
            if (tree / group).exists():
                time.sleep(0.05)


def command(pid: int) -> str:
    """Name of the program that ``pid`` runs, or "gone"."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "gone"


def executable(pid: int) -> str:
    """File name of the program that ``pid`` runs; "" if it is gone or a kernel thread."""
    try:
        return Path(f"/proc/{pid}/exe").readlink().name
    except OSError:
        return ""


def memory_groups(group: str) -> dict[str, int]:
    """Working set in bytes of each cgroup below ``group``, by the last part of its name (a container's id).

    As the kubelet reckons it: usage minus the file pages that the kernel would drop first.
    """
    found = {}
    for tree in hierarchies():
        v2 = _is_v2(tree)
        usage_file = "memory.current" if v2 else "memory.usage_in_bytes"
        inactive_key = "inactive_file" if v2 else "total_inactive_file"
        for folder, _, files in os.walk(tree / group):
            if usage_file not in files:
                continue
            with suppress(OSError):  # the container may end while we look
                usage = int((Path(folder) / usage_file).read_text())
                stat = dict(line.split() for line in (Path(folder) / "memory.stat").read_text().splitlines())
                found[Path(folder).name] = max(0, usage - int(stat.get(inactive_key, 0)))
    return found
