"""A node: a machine made of namespaces. Own processes, mounts and network; the kernel is this machine's.

Inside, /run is new at every boot (as a real machine's is), /var/lib, /var/log and /tmp are the node's own disk, so a
hostPath below them is private to the node and outlives kill and start. When the node's process 1 dies, the kernel
kills everything inside and drops every mount: nothing has to be unmounted one by one.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from . import cgroups, daemons, network
from .components import INSIDE
from .waiting import wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .layout import ClusterSpec, Layout

_TOOLS_INSIDE = Path("/run/skerry-bin")
# $1: the cluster's folder, $2: folder of the built tools, $3: the program that becomes process 1.
_BOOT = f"""
mount -t tmpfs -o mode=755,size=512m skerry-run /run
mkdir -p {INSIDE} {_TOOLS_INSIDE} /run/lock /run/netns
mount --bind "$1" {INSIDE}
mount --bind "$2" {_TOOLS_INSIDE}
mount --bind {INSIDE}/disk/log /var/log
mount --bind {INSIDE}/disk/tmp /tmp
mount --bind {INSIDE}/disk/lib /var/lib
mount -t proc proc /proc
mount --make-rshared /
exec "$3"
"""


class Node:
    """One node's life: boot, components, power cut."""

    def __init__(self, layout: Layout, spec: ClusterSpec, programs: Mapping[str, Path]) -> None:
        self._layout = layout
        self._spec = spec
        self._programs = programs

    def _system_group(self, component: str) -> str:
        return f"{self._spec.cgroup}/system/{component}"

    def log(self, component: str) -> Path:
        return self._spec.logs / f"{component}.log"

    def init_pid(self) -> int | None:
        """This machine's pid of the node's process 1, once the node has booted; None while it is down."""
        for pid in cgroups.pids(self._system_group("init")):
            if cgroups.executable(pid) == "pause":
                return pid
        return None

    def inside(self, argv: Sequence[str]) -> list[str]:
        """Command line that runs ``argv`` inside the node. Raises if the node is down."""
        init = self.init_pid()
        if init is None:
            message = f"{self._spec.name} is down"
            raise ProcessLookupError(message)
        return ["nsenter", f"--target={init}", "--mount", "--pid", "--net", "--", *argv]

    def path(self, inside: str) -> Path:
        """Where this machine sees the path ``inside`` of the running node."""
        return Path(f"/proc/{self.init_pid()}/root{inside}")

    def _tool(self, name: str) -> str:
        """Where the node sees the program called ``name``."""
        path = self._programs[name]
        if path.is_relative_to(self._layout.tools):
            return str(_TOOLS_INSIDE / path.relative_to(self._layout.tools))
        return str(path)

    def boot(self) -> None:
        """Bring up the empty machine, if it is down: everything volatile is new, the disk is as it was left."""
        if self.init_pid() is not None:
            return
        spec = self._spec
        cgroups.kill(spec.cgroup)
        cgroups.remove(spec.cgroup)
        network.forget_kernel_state(spec)
        shutil.rmtree(spec.disk / "tmp", ignore_errors=True)
        for name, mode in (("lib", 0o755), ("log", 0o755), ("tmp", 0o1777)):
            folder = spec.disk / name
            folder.mkdir(parents=True, exist_ok=True)
            folder.chmod(mode)
        unshare = ["unshare", "--mount", "--propagation=slave", "--pid", "--fork", "--kill-child=SIGKILL"]
        shell = ["/bin/sh", "-eu", "-c", _BOOT, "boot", str(spec.folder), str(self._layout.tools), self._tool("pause")]
        daemons.start(
            [*unshare, *shell],
            group=self._system_group("init"),
            marker=spec.marker,
            log=self.log("init"),
            enter=["nsenter", f"--net={spec.netns_path}"],
        )
        log = self.log("init")
        wait_for(f"{spec.name}: boot", lambda: self.init_pid() is not None, seconds=20, every=0.02, log=log)

    def start(self, component: str, argv: Sequence[str]) -> bool:
        """Start ``component`` unless it runs; return whether it had to be started."""
        if self.running(component):
            return False
        daemons.start(
            [self._tool(component), *argv[1:]],
            group=self._system_group(component),
            marker=self._spec.marker,
            log=self.log(component),
            enter=self.inside([]),
        )
        return True

    def running(self, component: str) -> bool:
        return daemons.running(self._system_group(component), self._programs.get(component, Path(component)))

    def pids(self) -> set[int]:
        """Every process of the node: control plane, kubelet, containerd, shims, pods."""
        return cgroups.pids(self._spec.cgroup) | daemons.marked(self._spec.marker)

    def kill(self) -> int:
        """SIGKILL all of ``pids()``; return how many. Raises LabError if any survives."""
        return cgroups.kill(self._spec.cgroup)

    def kill_component(self, component: str) -> int:
        """SIGKILL one component and its children (containerd's are the shims); return how many."""
        return cgroups.kill(self._system_group(component))
