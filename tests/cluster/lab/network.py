"""The lab's wires: one bridge in a namespace of its own, a virtual cable from it to each cluster and to this machine.

The bridge is not in the root namespace on purpose: there, this machine's own firewall (Docker's FORWARD DROP, say)
would judge the sites' traffic, and rules of ours would have to be taken out again.
"""

from __future__ import annotations

import errno
import json
import subprocess
from typing import TYPE_CHECKING

from . import namespaces
from .errors import LabError
from .layout import NETNS_FOLDER
from .namespaces import command

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import ClusterSpec, Layout

_BRIDGE = "bridge0"


def _link(netns: str | None, name: str) -> dict[str, object] | None:
    where = ["-n", netns] if netns else []
    done = subprocess.run(
        ["ip", *where, "-json", "link", "show", name], capture_output=True, text=True, timeout=10, check=False
    )
    if done.returncode != 0:
        return None
    found: list[dict[str, object]] = json.loads(done.stdout)
    return found[0] if found else None


def _in_netns(netns: str, *argv: str) -> None:
    command(["nsenter", f"--net={NETNS_FOLDER / netns}", *argv])


def ensure_lan(layout: Layout) -> None:
    """Bridge, its address (every cluster's gateway, which forwards nothing) and the cable to this machine."""
    lan = layout.lan_netns
    namespaces.create(NETNS_FOLDER / lan)
    if not _link(lan, _BRIDGE):
        command(["ip", "-n", lan, "link", "add", _BRIDGE, "type", "bridge", "forward_delay", "0"])
    command(["ip", "-n", lan, "address", "replace", f"{layout.gateway}/24", "dev", _BRIDGE])
    command(["ip", "-n", lan, "link", "set", _BRIDGE, "up"])
    _in_netns(lan, "sysctl", "-qw", "net.ipv4.ip_forward=0")
    if not _link(None, layout.host_link):
        _refuse_taken_network(layout)
        command(["ip", "link", "add", layout.host_link, "type", "veth", "peer", "name", "host", "netns", lan])
    command(["ip", "address", "replace", f"{layout.host_address}/24", "dev", layout.host_link])
    command(["ip", "link", "set", layout.host_link, "up"])
    command(["ip", "-n", lan, "link", "set", "host", "master", _BRIDGE, "up"])


def _refuse_taken_network(layout: Layout) -> None:
    routes: list[dict[str, str]] = json.loads(command(["ip", "-json", "-4", "route", "show", "root", layout.network]))
    if routes:
        raise LabError(
            f"this machine already routes {layout.network} over {routes[0].get('dev', '?')}; "
            "take another network with SKERRY_LAB_INSTANCE=1 (to 9)"
        )


def ensure_cluster(layout: Layout, spec: ClusterSpec) -> None:
    """Give the cluster its namespace and its cable to the bridge. A cable that was cut stays cut."""
    namespaces.create(spec.netns_path)
    lan = layout.lan_netns
    if not _link(lan, spec.name):
        peer = ["peer", "name", "eth0", "netns", spec.netns]
        command(["ip", "-n", lan, "link", "add", spec.name, "type", "veth", *peer])
        command(["ip", "-n", lan, "link", "set", spec.name, "master", _BRIDGE, "up"])
    command(["ip", "-n", spec.netns, "address", "replace", f"{spec.address}/24", "dev", "eth0"])
    command(["ip", "-n", spec.netns, "link", "set", "eth0", "up"])
    command(["ip", "-n", spec.netns, "route", "replace", "default", "via", layout.gateway, "dev", "eth0"])
    _in_netns(spec.netns, "sysctl", "-qw", "net.ipv4.ip_forward=1")


def set_cable(layout: Layout, spec: ClusterSpec, *, plugged: bool) -> None:
    """Plug or pull the cluster's cable, at the bridge's end: the cluster sees its carrier go, as with a real one."""
    command(["ip", "-n", layout.lan_netns, "link", "set", spec.name, "up" if plugged else "down"])


def is_plugged(layout: Layout, spec: ClusterSpec) -> bool:
    link = _link(layout.lan_netns, spec.name)
    return link is not None and "UP" in str(link.get("flags"))


def forget_kernel_state(spec: ClusterSpec) -> None:
    """Drop what a node's kernel forgets when it loses power: packet filter, connection table, pods' bridge."""
    for table in ("nat", "filter", "mangle"):
        for flag in ("-F", "-X"):
            _in_netns(spec.netns, "iptables", "-t", table, flag)
    subprocess.run(  # fails where conntrack has nothing to delete
        ["nsenter", f"--net={spec.netns_path}", "conntrack", "-F"], capture_output=True, timeout=30, check=False
    )
    if _link(spec.netns, "cni0"):
        command(["ip", "-n", spec.netns, "link", "del", "cni0"])


def remove(layout: Layout) -> None:
    """Remove all of the lab's namespaces and this machine's end of its cable; their other links go with them."""
    if _link(None, layout.host_link):
        command(["ip", "link", "del", layout.host_link])
    for path in netns_paths(layout):
        namespaces.remove(path)
    if NETNS_FOLDER.exists() and not any(NETNS_FOLDER.iterdir()) and not NETNS_FOLDER.is_mount():
        remove_unused(NETNS_FOLDER)


def remove_unused(folder: Path) -> None:
    """Remove a folder, unless somebody has begun to use it, or has mounted something there where we don't see it."""
    try:
        folder.rmdir()
    except OSError as error:
        if error.errno not in (errno.EBUSY, errno.ENOTEMPTY, errno.ENOENT):
            raise


def netns_paths(layout: Layout) -> list[Path]:
    """All network namespaces that carry this lab's prefix, whether or not this run knows the cluster."""
    return sorted(NETNS_FOLDER.glob(f"{layout.prefix}-*"))
