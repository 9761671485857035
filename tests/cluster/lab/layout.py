"""Names, addresses and folders of a lab: everything that can be known without looking at the machine.

One machine can hold several labs side by side (``SKERRY_LAB_INSTANCE``, 0 to 9): every name and every address
carries the instance, so each can be removed exactly, without touching the others.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError

DEFAULT_CLUSTERS = ("hub", "site-a", "site-b")
HUB = "hub"
API_PORT = 6443
STORE_PORT = 9000
NETNS_FOLDER = Path("/run/netns")
# Every process of a lab carries this variable, whatever cgroup it is in: <instance prefix>:<cluster or store>.
MARKER = "SKERRY_LAB_OWNER"
_NAME = re.compile(r"hub|site-[a-z]")


def cluster_index(name: str) -> int:
    """Give ``hub`` 0 and ``site-a`` to ``site-z`` 1 to 26: addresses follow from the name, nothing is allocated."""
    if not _NAME.fullmatch(name):
        message = f"{name!r} is not a cluster of the lab: use hub, site-a, site-b, … site-z"
        raise LabError(message)
    return 0 if name == HUB else ord(name[-1]) - ord("a") + 1


@dataclass(frozen=True)
class ClusterSpec:
    """One cluster's fixed facts. Networks are IPv4 CIDRs, folders are on this machine."""

    name: str
    instance: int
    state: Path

    @property
    def index(self) -> int:
        return cluster_index(self.name)

    @property
    def address(self) -> str:
        return f"10.213.{self.instance}.{10 + self.index}"

    @property
    def api_url(self) -> str:
        return f"https://{self.address}:{API_PORT}"

    @property
    def pod_cidr(self) -> str:
        return f"10.{214 + self.instance}.{self.index}.0/24"

    @property
    def service_prefix(self) -> str:
        """First three bytes of the /24 that Services get their addresses from."""
        return f"10.{224 + self.instance}.{self.index}"

    @property
    def node_name(self) -> str:
        return f"{self.name}-node"

    @property
    def netns(self) -> str:
        return f"{prefix(self.instance)}-{self.name}"

    @property
    def netns_path(self) -> Path:
        return NETNS_FOLDER / self.netns

    @property
    def cgroup(self) -> str:
        """Path below the mount point of every cgroup hierarchy; the kubelet's ``cgroupRoot``."""
        return f"{prefix(self.instance)}/{self.name}"

    @property
    def marker(self) -> str:
        return f"{prefix(self.instance)}:{self.name}"

    @property
    def folder(self) -> Path:
        return self.state / self.name

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def logs(self) -> Path:
        return self.folder / "log"

    @property
    def disk(self) -> Path:
        """The node's disk: what it has as /var/lib, /var/log and /tmp. Outlives kill and start."""
        return self.folder / "disk"

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"


def prefix(instance: int) -> str:
    """Name prefix of everything that belongs to a lab instance."""
    return "skerry" if instance == 0 else f"skerry{instance}"


@dataclass(frozen=True)
class Layout:
    """Where one lab lives: its instance number, state folder and build cache."""

    instance: int
    state: Path
    cache: Path

    @classmethod
    def from_environment(cls, environ: dict[str, str] | None = None) -> Layout:
        """Read SKERRY_LAB_INSTANCE, SKERRY_LAB_STATE and SKERRY_LAB_CACHE; all have defaults. Raises LabError."""
        env = dict(os.environ) if environ is None else environ
        number = env.get("SKERRY_LAB_INSTANCE", "0")
        if not re.fullmatch(r"\d", number):
            message = f"SKERRY_LAB_INSTANCE={number!r} must be a digit"
            raise LabError(message)
        instance = int(number)
        default_state = f"/var/lib/{prefix(instance)}-lab"
        default_cache = Path(env.get("XDG_CACHE_HOME") or Path(env.get("HOME") or "/root") / ".cache") / "skerry-lab"
        return cls(
            instance=instance,
            state=Path(env.get("SKERRY_LAB_STATE") or default_state).resolve(),
            cache=Path(env.get("SKERRY_LAB_CACHE") or default_cache).resolve(),
        )

    def cluster(self, name: str) -> ClusterSpec:
        cluster_index(name)
        return ClusterSpec(name, self.instance, self.state)

    @property
    def prefix(self) -> str:
        return prefix(self.instance)

    @property
    def network(self) -> str:
        return f"10.213.{self.instance}.0/24"

    @property
    def host_address(self) -> str:
        """This machine's address on the lab's bridge: a server of the demo listens here."""
        return f"10.213.{self.instance}.1"

    @property
    def gateway(self) -> str:
        """Default gateway of every cluster: the bridge itself, which forwards nothing, so the lab has no outside."""
        return f"10.213.{self.instance}.254"

    @property
    def host_link(self) -> str:
        return f"sk{self.instance}-host"

    @property
    def lan_netns(self) -> str:
        return f"{self.prefix}-lan"

    @property
    def tools(self) -> Path:
        return self.cache / "bin"
