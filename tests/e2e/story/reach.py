"""How clients of a site reach its runtime: inside its network, or, at a cluster of one's own, by port-forwarding."""

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.cluster.lab import Cluster, LabError
from tests.e2e.story.platform import MODEL, ROOT, RUNTIME

_FORWARDING = re.compile(r"Forwarding from 127\.0\.0\.1:(\d+)")


@dataclass
class Reach:
    """The way to one site's runtime. The lab's sites have networks that can be entered; others are forwarded."""

    cluster: Cluster
    _forward: subprocess.Popen[str] | None = None
    _port: int = field(default=0)

    def url(self) -> str:
        """URL of the story's model, good for processes started by `popen` and `run`."""
        return f"http://{self._authority()}/v2/models/{MODEL}/infer"

    def popen(self, argv: Sequence[str], **options: Any) -> subprocess.Popen[Any]:
        """Start a client from the project's root."""
        start = self.cluster.exec if self.cluster.hands else subprocess.Popen
        return start(argv, cwd=ROOT, **options)

    def run(self, argv: Sequence[str], timeout: float) -> subprocess.CompletedProcess[str]:
        """Run a client from the project's root to its end; its output is captured as text."""
        if self.cluster.hands:
            return self.cluster.run(argv, cwd=ROOT, timeout=timeout)
        return subprocess.run(argv, cwd=ROOT, timeout=timeout, capture_output=True, text=True, check=False)

    def close(self) -> None:
        """Stop forwarding."""
        if self._forward is not None:
            self._forward.terminate()
            self._forward.wait(timeout=10)
            self._forward = None

    def _authority(self) -> str:
        if self.cluster.hands:
            return self.cluster.kubectl(
                "get", "service", "skerry-inference", f"--namespace={RUNTIME}", "--output=jsonpath={.spec.clusterIP}"
            ).stdout
        if self._forward is None or self._forward.poll() is not None:
            self._forward, self._port = self._start_forwarding()
        return f"127.0.0.1:{self._port}"

    def _start_forwarding(self) -> tuple[subprocess.Popen[str], int]:
        process = subprocess.Popen(
            [
                str(self.cluster.programs["kubectl"]), f"--kubeconfig={self.cluster.kubeconfig}",
                "port-forward", f"--namespace={RUNTIME}", "service/skerry-inference", ":80",
            ],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        said = process.stdout.readline()
        if not (match := _FORWARDING.match(said)):
            process.kill()
            raise LabError(f"{self.cluster.name}: kubectl port-forward: {said.strip()}")
        return process, int(match[1])
