"""The clock of a site's node as its runtime sees it: set to any time, and set right again, while it runs.

A machine's clock is all of its clusters' clock, so the runtime's two containers get one of their own: `node_clock.c`,
preloaded by an addition to their DaemonSet that the site's operator, which applies what it says on the server, leaves
there.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.cluster.lab import LabCluster
from tests.cluster.lab.namespaces import command
from tests.cluster.lab.requirements import COMPILER_COMMANDS, ensure
from tests.e2e.faults.world import DISK
from tests.e2e.story.platform import RUNTIME

_SOURCE = Path(__file__).parent / "node_clock.c"
_FOLDER = f"{DISK}/clock"  # admission lets the runtime mount nothing from outside its own folder
_LIBRARY, _OFFSET = "node_clock.so", "offset"
_CONTAINERS = ("inference", "sync")
_DAEMON_SET = "daemonset/skerry-runtime"
_GONE = {"$patch": "delete"}


@dataclass(frozen=True)
class NodeClock:
    """A clock of which `folder` has the offset."""

    folder: Path

    def set_off(self, off: timedelta) -> None:
        """Set it ahead (behind, if negative); processes see that at once."""
        with (self.folder / _OFFSET).open("r+b") as file:
            file.write(struct.pack("@l", round(off.total_seconds())))


def build(folder: Path) -> NodeClock:
    """Make, in a folder, what is preloaded, and a clock that is right."""
    ensure(COMPILER_COMMANDS, print, cni=False)
    command(["gcc", "-shared", "-fPIC", "-O2", "-Wall", "-Werror", f"-o{folder / _LIBRARY}", str(_SOURCE)])
    (folder / _OFFSET).write_bytes(struct.pack("@l", 0))
    return NodeClock(folder)


def environment(folder: str) -> dict[str, str]:
    """What a process needs that is to see the clock of a folder."""
    return {"LD_PRELOAD": f"{folder}/{_LIBRARY}", "SKERRY_CLOCK_OFFSET": f"{folder}/{_OFFSET}"}


@contextmanager
def settable(site: LabCluster) -> Iterator[NodeClock]:
    """Make the node's clock settable, for a while: the runtime's pod is replaced before and after."""
    folder = site.path(_FOLDER)
    folder.mkdir(exist_ok=True)
    clock = build(folder)
    try:
        _patch(site, _addition())
        yield clock
    finally:
        clock.set_off(timedelta())
        _patch(site, _removal())
        shutil.rmtree(folder)


def _addition() -> dict[str, Any]:
    variables = [{"name": name, "value": value} for name, value in environment(_FOLDER).items()]
    mount = {"name": "clock", "mountPath": _FOLDER, "readOnly": True}
    return _merge(variables, mount, {"name": "clock", "hostPath": {"path": _FOLDER, "type": "Directory"}})


def _removal() -> dict[str, Any]:
    variables = [{"name": name, **_GONE} for name in environment(_FOLDER)]
    return _merge(variables, {"mountPath": _FOLDER, **_GONE}, {"name": "clock", **_GONE})


def _merge(variables: list[dict[str, str]], mount: dict[str, Any], volume: dict[str, Any]) -> dict[str, Any]:
    containers = [{"name": name, "env": variables, "volumeMounts": [mount]} for name in _CONTAINERS]
    return {"spec": {"template": {"spec": {"containers": containers, "volumes": [volume]}}}}


def _patch(site: LabCluster, patch: dict[str, Any]) -> None:
    where = f"--namespace={RUNTIME}"
    site.kubectl("patch", _DAEMON_SET, where, "--type=strategic", f"--patch={json.dumps(patch)}")
    site.kubectl("rollout", "status", _DAEMON_SET, where, "--timeout=120s")
