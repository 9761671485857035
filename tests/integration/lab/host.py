"""Everything about this machine that a lab could leave behind, as plain sets that can be compared.

Other labs (other instances, which the other tests may be using meanwhile) are looked past: by their names, and by
the cgroups that their processes are in.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from contextlib import suppress
from dataclasses import dataclass, fields
from pathlib import Path

from tests.cluster.lab.cgroups import hierarchies

# Whole trees, and folders of which only the names directly inside count.
# /tmp is everybody's: the test gives the lab's commands one of their own, and looks at that.
DEEP = ("/run", "/etc/cni", "/usr/libexec/kubernetes", "/var/lib/cni", "/var/log/containers", "/var/log/pods")
SHALLOW = ("/", "/etc", "/opt", "/root/.config", "/root/.local/share", "/root/.kube", "/var", "/var/lib", "/var/log")
SYSCTLS = (
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/forwarding",
    "net/ipv4/conf/all/rp_filter",
    "net/ipv4/conf/all/route_localnet",
    "net/bridge/bridge-nf-call-iptables",
    "vm/overcommit_memory",
    "kernel/panic",
    "kernel/panic_on_oops",
)
# Every process of a node lives in the node's pid namespace, and every pod in a net namespace: what is left of either
# shows in these two. The other kinds come and go with anybody's builds.
NAMESPACES = ("net", "pid")


@dataclass(frozen=True)
class Host:
    """One look at this machine."""

    namespaces: frozenset[str]
    marked: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    routes: frozenset[str]
    packet_filter: frozenset[str]
    cgroups: frozenset[str]
    files: frozenset[str]
    sysctls: frozenset[str]

    def left_behind_since(self, before: Host) -> dict[str, list[str]]:
        """What is new or gone against ``before``, by kind; empty if nothing is."""
        return {field.name: sorted(changed) for field in fields(self) if (changed := self._changed(before, field.name))}

    def _changed(self, before: Host, kind: str) -> frozenset[str]:
        now, then = getattr(self, kind), getattr(before, kind)
        # Of namespaces and of others' files only what is new counts: those that went were somebody else's.
        changed: frozenset[str] = now - then if kind in ("namespaces", "files") else now ^ then
        return changed


def look(instance: int) -> Host:
    """Look at this machine, past all labs but ``instance``."""
    others = _Others(instance)
    return Host(
        namespaces=frozenset(_namespaces(others)),
        marked=frozenset(_marked(instance)),
        mounts=frozenset(line for line in _mounts() if not others.named(line)),
        links=frozenset(line for line in _links() if not others.named(line)),
        routes=frozenset(line for line in _output(["ip", "route", "show", "table", "all"]) if not others.named(line)),
        packet_filter=frozenset(
            line for tool in ("iptables-save", "ip6tables-save") for line in _output([tool]) if line[0] not in "#:"
        ),
        cgroups=frozenset(path for path in _cgroups() if not others.named(path)),
        files=frozenset(path for path in _files() if not others.named(path)),
        sysctls=frozenset(_sysctls()),
    )


class _Others:
    """Tells what belongs to labs of other instances."""

    def __init__(self, instance: int) -> None:
        digits = "".join(str(number) for number in range(1, 10) if number != instance)
        names = rf"(?<![\w-])skerry[{digits}]?(?=[-/:]|$)"
        links = rf"sk[0{digits}]-host|10\.213\.[0{digits}]\."
        self._pattern = re.compile(f"{names}|{links}")

    def named(self, text: str) -> bool:
        return self._pattern.search(text) is not None


def _processes() -> list[Path]:
    return [entry for entry in Path("/proc").iterdir() if entry.name.isdigit()]


def _namespaces(others: _Others) -> set[str]:
    """All namespaces that processes outside other labs live in: a pod or node left running shows up here."""
    found = set()
    for process in _processes():
        with suppress(OSError):
            if not others.named((process / "cgroup").read_text()):
                found |= {str((process / "ns" / kind).readlink()) for kind in NAMESPACES}
    return found


def _marked(instance: int) -> set[str]:
    marker = f"SKERRY_LAB_OWNER=skerry{instance}:".encode()
    found = set()
    for process in _processes():
        with suppress(OSError):
            if marker in (process / "environ").read_bytes():
                found.add(f"{process.name} {(process / 'comm').read_text().strip()}")
    return found


def _mounts() -> set[str]:
    return {" ".join(line.split()[3:5]) for line in Path("/proc/self/mountinfo").read_text().splitlines()}


def _links() -> set[str]:
    links = json.loads(subprocess.run(["ip", "-json", "address"], capture_output=True, check=True).stdout)
    return {f"{link['ifname']} {[address['local'] for address in link['addr_info']]}" for link in links}


def _output(argv: list[str]) -> list[str]:
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [line for line in done.stdout.splitlines() if line]


def _cgroups() -> set[str]:
    """First level of each tree: what is made deeper in a group that was there before is its owner's."""
    return {str(path) for tree in hierarchies() for path in tree.iterdir() if path.is_dir()}


def _files() -> set[str]:
    found = set()
    for top in DEEP:
        for folder, folders, names in os.walk(top):
            found |= {str(Path(folder) / name) for name in [*folders, *names]}
    for top in SHALLOW:
        with suppress(OSError):
            found |= {str(path) for path in Path(top).iterdir()}
    return found


def _sysctls() -> set[str]:
    found = set()
    for name in SYSCTLS:
        with suppress(OSError):
            found.add(f"{name}={(Path('/proc/sys') / name).read_text().strip()}")
    return found
