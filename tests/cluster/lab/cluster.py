"""A cluster as tests and the demo see it, whoever runs it."""

from __future__ import annotations

import base64
import contextlib
import os
import subprocess
from typing import TYPE_CHECKING, Any, NoReturn
from urllib.parse import urlsplit

import yaml

from .errors import LabError, NotAvailableError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

_KUBECTL_SECONDS = 300.0


class Cluster:
    """A cluster that can be talked to. This class is the user's own (``CONTEXTS``): nothing of it is touched.

    What the lab alone can do (cut, kill, start, import, run inside) raises NotAvailableError here; ask ``hands``.
    """

    hands = False

    def __init__(self, name: str, kubeconfig: Path, programs: Mapping[str, Path]) -> None:
        self.name = name
        self.kubeconfig = kubeconfig
        self.programs = programs

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"

    @property
    def _cluster_entry(self) -> dict[str, Any]:
        document = yaml.safe_load(self.kubeconfig.read_text())
        entry: dict[str, Any] = document["clusters"][0]["cluster"]
        return entry

    @property
    def api_url(self) -> str:
        """URL of the API server; the same from this machine, from the cluster itself and from other clusters' pods."""
        return str(self._cluster_entry["server"])

    @property
    def address(self) -> str:
        """Host or IP address of the node (a node port answers here)."""
        return urlsplit(self.api_url).hostname or ""

    @property
    def ca_pem(self) -> str:
        """Certificate authority of the API server, PEM."""
        return base64.b64decode(self._cluster_entry["certificate-authority-data"]).decode()

    @property
    def node_name(self) -> str:
        return self.kubectl("get", "nodes", "--output=jsonpath={.items[0].metadata.name}").stdout

    def _command_prefix(self) -> list[str]:
        return []

    def _environ(self) -> dict[str, str]:
        """Give kubectl and Helm the caller's environment (login plugins may need it), but caches of their own."""
        folder = self.kubeconfig.parent / "client-cache"
        helm = {f"HELM_{kind}_HOME": str(folder / f"helm-{kind.lower()}") for kind in ("CACHE", "CONFIG", "DATA")}
        return {**os.environ, "KUBECACHEDIR": str(folder / "kubectl"), **helm}

    def _tool(
        self,
        program: str,
        args: Sequence[str],
        *,
        text: str | None,
        check: bool,
        seconds: float,
    ) -> subprocess.CompletedProcess[str]:
        # An administrator's machine is elsewhere: on this one kubectl doesn't take a core from what serves.
        argv = ["nice", *self._command_prefix(), str(self.programs[program]), f"--kubeconfig={self.kubeconfig}", *args]
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, timeout=seconds, check=False, env=self._environ()
        )
        if check and done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise LabError(f"{self.name}: {program} {' '.join(args)}: exit {done.returncode}: {said}")
        return done

    def kubectl(
        self,
        *args: str,
        input: str | None = None,  # noqa: A002  # named as in subprocess.run
        check: bool = True,
        timeout: float = _KUBECTL_SECONDS,
    ) -> subprocess.CompletedProcess[str]:
        """Run kubectl as administrator, also while the link is cut. Raises LabError (with its words) if ``check``."""
        return self._tool("kubectl", args, text=input, check=check, seconds=timeout)

    def helm(self, *args: str, check: bool = True, timeout: float = 600) -> subprocess.CompletedProcess[str]:
        """Run Helm as administrator. Raises LabError (with its words) if ``check``."""
        return self._tool("helm", args, text=None, check=check, seconds=timeout)

    def _no_hands(self, what: str) -> NoReturn:
        raise NotAvailableError(f"{self.name} is a cluster of your own (CONTEXTS): the lab can't {what}")

    def exec(self, argv: Sequence[str], **popen: Any) -> subprocess.Popen[Any]:
        """Start ``argv`` inside the cluster's network, with this machine's files.

        It is no part of the site: ``kill_everything`` spares it.
        """
        self._no_hands(f"run {argv[0]} in its network")

    def run(self, argv: Sequence[str], **options: Any) -> subprocess.CompletedProcess[str]:
        """Run ``argv`` inside the cluster's network and wait; options as for subprocess.run (text, captured)."""
        self._no_hands(f"run {argv[0]} in its network")

    def import_images(self, tar: Path) -> bool:
        """Give the node the images of a docker archive; return False if it has these very ones already."""
        self._no_hands(f"import {tar.name}; push it where your nodes pull from")

    def cut(self) -> None:
        """Pull the cable between this cluster and all others."""
        self._no_hands("cut its link")

    def join(self) -> None:
        """Plug the cable in again."""
        self._no_hands("cut or join its link")

    @property
    def is_cut(self) -> bool:
        return False

    def kill_everything(self) -> int:
        """SIGKILL every process of the site, shims and pods included; return how many. None is left afterwards."""
        self._no_hands("kill its processes")

    def start(self) -> None:
        """Start (again) from the state on disk, link or no link; returns when the node is Ready. Idempotent."""
        self._no_hands("start it")

    def pids(self) -> set[int]:
        """Every process of the site, as pids of this machine."""
        self._no_hands("see its processes")

    def working_sets(self) -> dict[tuple[str, str], int]:
        """Largest working set seen of each container, in bytes, by (pod, container)."""
        self._no_hands("read its cgroups")

    @contextlib.contextmanager
    def sampled_working_sets(self, every: float = 0.5) -> Iterator[None]:
        """While inside, take a sample every ``every`` seconds; ``working_sets`` then tells the peaks."""
        self._no_hands(f"read its cgroups every {every} s")
        yield
