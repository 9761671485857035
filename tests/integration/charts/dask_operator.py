"""Dask's own operator as a process of this machine, beside a cluster of the lab."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

from tests.cluster.lab.locks import exclusive

_PINS = Path(__file__).with_name("dask-operator.txt")
_CRDS = "lib/python3*/site-packages/dask_kubernetes/operator/deployment/helm/dask-kubernetes-operator/crds"


def installed(cache: Path) -> Path:
    """The folder of a venv of its own, made once: what it pins is nothing that Skerry needs."""
    key = hashlib.sha256(_PINS.read_bytes() + sys.version.encode()).hexdigest()[:12]
    venv = cache / f"dask-operator-{key}"
    with exclusive(cache / "dask-operator.lock", print, "another run is installing Dask's operator"):
        if not (venv / "installed").exists():
            shutil.rmtree(venv, ignore_errors=True)
            subprocess.run([sys.executable, "-m", "venv", venv], check=True)
            pip = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--requirement", _PINS]
            subprocess.run(pip, check=True)
            (venv / "installed").touch()
    return venv


class DaskOperator:
    """Starts with its CRDs, ends with them removed. `hosts` is what a DNS would tell it: a name's address."""

    def __init__(self, cluster, cache: Path, folder: Path, hosts: dict[str, str]) -> None:
        self._cluster = cluster
        self._hosts = folder / "hosts"
        self._hosts.write_text("".join(f"{address} {name}\n" for name, address in hosts.items()))
        self._venv = installed(cache)
        (self._crds,) = self._venv.glob(_CRDS)
        self.log = folder / "dask-operator.log"

    def __enter__(self) -> Self:
        self._cluster.kubectl("apply", "--server-side", "-f", str(self._crds))
        self._cluster.kubectl("wait", "--for=condition=Established", "-f", str(self._crds))
        # As its own chart starts it; in the cluster's network, for it asks schedulers which workers can be spared.
        argv = ["unshare", "--mount", "sh", "-c", 'mount --bind "$0" /etc/hosts && exec "$@"', str(self._hosts)]
        argv += [str(self._venv / "bin" / "kopf"), "run", "-m", "dask_kubernetes.operator.controller"]
        argv += ["--all-namespaces"]
        environment = {**os.environ, "KUBECONFIG": str(self._cluster.kubeconfig), "NO_PROXY": "*"}
        with self.log.open("wb") as log:
            self._process = self._cluster.exec(argv, env=environment, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._cluster.kubectl("delete", "-f", str(self._crds), "--ignore-not-found", "--timeout=60s")

    def gone(self) -> str | None:
        """Why waiting for it is pointless, if it is."""
        return None if self._process.poll() is None else f"Dask's operator exited with {self._process.returncode}"
