"""How clients of a site reach its runtime: inside its network, or, at a cluster of one's own, through its API server.

`kubectl proxy` and not `port-forward`, which gives up for good at the first connection that is reset.
"""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.cluster.lab import Cluster, LabError
from tests.e2e.story.platform import MODEL, ROOT, RUNTIME

_SERVING = re.compile(r"Starting to serve on (127\.0\.0\.1:\d+)")
_SERVICE = f"api/v1/namespaces/{RUNTIME}/services/skerry-inference:80/proxy"


@dataclass
class Reach:
    """The way to one site's runtime. The lab's sites have networks that can be entered, others have not."""

    cluster: Cluster
    _proxy: subprocess.Popen[str] | None = None
    _address: str = ""

    def url(self, model: str = MODEL) -> str:
        """URL of a model, good for processes started by `popen` and `run`."""
        return f"http://{self._service()}/v2/models/{model}/infer"

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a client from the project's root."""
        start = self.cluster.exec if self.cluster.hands else subprocess.Popen
        return start(argv, cwd=ROOT, **options)

    def run(
        self, argv: Sequence[str], timeout: float, environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a client from the project's root to its end; its output is captured as text."""
        env = {**os.environ, **(environment or {})}
        if self.cluster.hands:
            return self.cluster.run(argv, cwd=ROOT, timeout=timeout, env=env)
        return subprocess.run(argv, cwd=ROOT, timeout=timeout, env=env, capture_output=True, text=True, check=False)

    def close(self) -> None:
        """Stop the proxy."""
        if self._proxy is not None:
            self._proxy.terminate()
            self._proxy.wait(timeout=10)
            self._proxy = None

    def _service(self) -> str:
        if self.cluster.hands:
            return self.cluster.kubectl(
                "get", "service", "skerry-inference", f"--namespace={RUNTIME}", "--output=jsonpath={.spec.clusterIP}"
            ).stdout
        if self._proxy is None:
            self._start_proxy()
        return f"{self._address}/{_SERVICE}"

    def _start_proxy(self) -> None:
        kubectl = [str(self.cluster.programs["kubectl"]), f"--kubeconfig={self.cluster.kubeconfig}"]
        self._proxy = subprocess.Popen(
            [*kubectl, "proxy", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        assert self._proxy.stdout is not None
        said = self._proxy.stdout.readline()
        if not (match := _SERVING.match(said)):
            self._proxy.kill()
            raise LabError(f"{self.cluster.name}: kubectl proxy: {said.strip()}")
        self._address = match[1]
