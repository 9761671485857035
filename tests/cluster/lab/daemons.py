"""Starting background programs so that they can be found again: each in a cgroup of its own, marked, detached."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from . import cgroups
from .errors import LabError
from .layout import MARKER
from .waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LAUNCHERS = {"", *(Path(shutil.which(name) or name).resolve().name for name in ("sh", "nsenter", "setsid"))}
_SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def start(
    argv: Sequence[str],
    *,
    group: str,
    marker: str,
    log: Path,
    enter: Sequence[str],
    environ: Mapping[str, str] | None = None,
) -> None:
    """Start ``argv`` in cgroup ``group``, by way of the command ``enter`` (an nsenter line), logging to ``log``.

    Returns once the program runs. It is nobody's child then: killing the caller leaves it be.
    Raises LabError, naming ``log``, if it can't be launched.
    """
    folders = cgroups.create(group)
    # A shell moves itself before it becomes the program, so no instant exists in which the program is elsewhere.
    join = "; ".join(f"echo $$ > {shlex.quote(str(folder / 'cgroup.procs'))}" for folder in folders)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        done = subprocess.run(
            ["/bin/sh", "-eu", "-c", f'{join}; exec "$@"', "sh", *enter, "setsid", "--fork", *argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={"PATH": _SYSTEM_PATH, "HOME": "/root", MARKER: marker, **(environ or {})},
            cwd="/",
            timeout=30,
            check=False,
        )
    if done.returncode != 0:
        raise LabError(f"{argv[0]} could not be launched (exit {done.returncode}); read {log}")
    # Until it has become the program, the process is still called setsid, and would pass for dead.
    wait_for(
        f"{argv[0]}: launch",
        lambda: bool({cgroups.executable(pid) for pid in cgroups.pids(group)} - _LAUNCHERS),
        seconds=20,
        every=0.01,
        log=log,
        gone=lambda: None if cgroups.pids(group) else "it exited at once",
    )


def running(group: str, program: Path) -> bool:
    """Whether ``program`` itself runs in ``group`` (children that outlive it, like shims, don't count)."""
    name = program.resolve().name  # one on PATH may be a link to a program of another name
    return any(cgroups.executable(pid) == name for pid in cgroups.pids(group))


def marked(marker_prefix: str) -> set[int]:
    """Processes whose environment carries the lab's marker, in whatever cgroup they are."""
    wanted = f"{MARKER}={marker_prefix}".encode()
    found = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):
                if any(item.startswith(wanted) for item in (entry / "environ").read_bytes().split(b"\0")):
                    found.add(int(entry.name))
    return {pid for pid in found if not cgroups.is_zombie(pid)}
