"""What this machine must have for the lab, and one clear line about what it lacks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import RequirementMissingError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

# Command, and the Debian or Ubuntu package that has it.
CLUSTER_COMMANDS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "iptables": "iptables",
    "conntrack": "conntrack",
    "ip": "iproute2",
    "tc": "iproute2",
    "sysctl": "procps",
    "nsenter": "util-linux",
    "unshare": "util-linux",
    "mount": "mount",
}
BROKER_COMMANDS = {"mosquitto": "mosquitto", "mosquitto_passwd": "mosquitto"}
COMPILER_COMMANDS = {"g++": "g++"}  # which brings gcc and, unlike it, the headers of the C library
FAULT_COMMANDS = {"strace": "strace", "mkfs.ext4": "e2fsprogs", "mount": "mount"}
IMAGE_COMMANDS = {"buildah": "buildah", "debootstrap": "debootstrap"}
_CNI_FOLDERS = ("/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni")
_CNI_PLUGINS = ("bridge", "host-local", "loopback", "portmap")
_CNI_PACKAGE = "containernetworking-plugins"
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_INOTIFY_INSTANCES = 1024
STILL_RUNS = "`make test-fast` runs without, and CONTEXTS=hub,site-a,… uses clusters of your own."


def cni_folder(folders: Iterable[str] = _CNI_FOLDERS) -> str | None:
    """Give the first folder that holds all network plugins the lab uses."""
    for folder in folders:
        if all((Path(folder) / plugin).exists() for plugin in _CNI_PLUGINS):
            return folder
    return None


def machine_lacks(platform: str, user_id: int, *, may_unshare: bool) -> str | None:
    """One line on why no cluster can run on this machine whatever is installed, or None."""
    if platform != "linux":
        return f"The lab needs Linux (network namespaces, cgroups); this is {platform}. {STILL_RUNS}"
    if user_id != 0:
        return f"The lab needs root (it makes network namespaces and cgroups); this is user {user_id}. {STILL_RUNS}"
    if not may_unshare:
        return f"The lab needs CAP_SYS_ADMIN, which this root lacks (a container without --privileged?). {STILL_RUNS}"
    return None


def packages_for(missing: Iterable[str], commands: Mapping[str, str], *, cni: bool) -> list[str]:
    """Names of the packages that bring the ``missing`` commands, sorted, and the CNI plugins' unless ``cni``."""
    wanted = {commands[command] for command in missing}
    if not cni:
        wanted.add(_CNI_PACKAGE)
    return sorted(wanted)


def _may_unshare() -> bool:
    return subprocess.run(["unshare", "--mount", "true"], capture_output=True, timeout=10, check=False).returncode == 0


def ensure_may_run() -> None:
    """Raise RequirementMissingError, with its one line, if no lab can live (or be taken down) here."""
    user_id = os.geteuid() if hasattr(os, "geteuid") else -1
    may_unshare = sys.platform != "linux" or user_id != 0 or not shutil.which("unshare") or _may_unshare()
    if line := machine_lacks(sys.platform, user_id, may_unshare=may_unshare):
        raise RequirementMissingError(line)


def ensure(commands: Mapping[str, str], progress: Callable[[str], None], *, cni: bool = False) -> None:
    """See to it that this machine has ``commands`` (and with ``cni`` the network plugins), installing what is missing.

    Raises RequirementMissingError with one line that says what is missing and what runs without it.
    """
    ensure_may_run()
    packages = _missing_packages(commands, cni=cni)
    if not packages:
        return
    if not shutil.which("apt-get"):
        raise RequirementMissingError(f"Missing, and no apt-get to install them: {', '.join(packages)}. {STILL_RUNS}")
    progress(f"installing with apt-get: {', '.join(packages)}")
    _apt_install(packages)
    if still := _missing_packages(commands, cni=cni):
        raise RequirementMissingError(f"apt-get could not bring: {', '.join(still)}. {STILL_RUNS}")


def ensure_inotify(progress: Callable[[str], None], setting: Path = _INOTIFY) -> None:
    """Raise the limit on inotify instances if it is too low for several kubelets; it stays raised.

    Kernels give a user 128, a cluster takes about 15, and a kubelet that gets none exits. kind asks its users for the
    same. Raises RequirementMissingError if it can't be raised.
    """
    limit = int(setting.read_text())
    if limit >= _INOTIFY_INSTANCES:
        return
    try:
        setting.write_text(f"{_INOTIFY_INSTANCES}\n")
    except OSError as error:
        raise RequirementMissingError(
            f"fs.inotify.max_user_instances is {limit} and can't be raised to {_INOTIFY_INSTANCES}: {error}. "
            f"{STILL_RUNS}"
        ) from error
    progress(f"raised fs.inotify.max_user_instances from {limit} to {_INOTIFY_INSTANCES}: a cluster takes about 15")


def _missing_packages(commands: Mapping[str, str], *, cni: bool) -> list[str]:
    missing = [command for command in commands if not shutil.which(command)]
    return packages_for(missing, commands, cni=not cni or cni_folder() is not None)


def _apt_install(packages: list[str]) -> None:
    """Install; on failure refresh the package lists and try once more (a fresh machine has none)."""
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    # Several test processes may find something missing at once.
    install = ["apt-get", "-o", "DPkg::Lock::Timeout=300", "install", "--yes", "--no-install-recommends", *packages]
    if subprocess.run(install, env=environ, capture_output=True, check=False).returncode == 0:
        return
    subprocess.run(
        ["apt-get", "-o", "DPkg::Lock::Timeout=300", "update"], env=environ, capture_output=True, check=False
    )
    done = subprocess.run(install, env=environ, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RequirementMissingError(
            f"apt-get install {' '.join(packages)} failed: {done.stderr.strip()[-300:]} {STILL_RUNS}"
        )
