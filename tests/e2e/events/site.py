"""The site's side: what producers send there and are answered, and whose processes are killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.cluster.lab import LabCluster
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.device import BATCH, Acknowledged, encode
from tests.e2e.faults.world import DISK, World
from tests.e2e.story.platform import ROOT, RUNTIME

RATE = 100.0  # readings a second


@dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    status: int
    answer: dict[str, Any]


@dataclass
class EventsSite:
    """The events port of the world's site, and the device that sends to it."""

    world: World
    folder: Path
    _device: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def cluster(self) -> LabCluster:
        return self.world.site

    @property
    def disk(self) -> Path:
        """The node's volume, as this machine sees it."""
        return self.cluster.path(DISK)

    def url(self, stream: str) -> str:
        """Where a stream's events go, within the site."""
        found = self.cluster.kubectl(
            "get", "service", "skerry-events", f"--namespace={RUNTIME}", "--output=jsonpath={.spec.clusterIP}"
        )
        return f"http://{found.stdout}/v1/streams/{stream}/events"

    def post(self, stream: str, body: bytes, content_type: str = BATCH) -> Answer:
        """Send one request."""
        command = [sys.executable, "-m", "tests.e2e.events.post", self.url(stream), content_type]
        done = self.cluster.run(command, cwd=ROOT, input=body, text=False, timeout=60, check=True)
        return Answer(**json.loads(done.stdout))

    def send(self, stream: str, *events: dict[str, Any]) -> Answer:
        """Send events as a batch."""
        return self.post(stream, encode(list(events), BATCH))

    def wait_stream(self, stream: str, seconds: float) -> None:
        """Wait until a stream takes events in."""
        wait_for(f"{stream} takes events", lambda: self.send(stream).status == 200, seconds=seconds, every=0.5)

    # -- the device --------------------------------------------------------------------------------------------------

    @property
    def _ledger(self) -> Path:
        return self.folder / "device.jsonl"

    def start_device(self) -> None:
        """Start the device that sends readings."""
        self._ledger.unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "tests.e2e.events.device",
            f"--url={self.url('readings')}", f"--ledger={self._ledger}", f"--rate={RATE}",
        ]  # fmt: skip
        self._device = self.cluster.exec(command, cwd=ROOT)

    def stop_device(self) -> None:
        """Stop it; a request under way is still written down if it was answered."""
        if self._device is not None:
            self._device.terminate()
            self._device.wait(timeout=30)
            self._device = None

    def acknowledged(self) -> list[Acknowledged]:
        """What the node said that it has, in order."""
        if not self._ledger.exists():
            return []
        lines = self._ledger.read_text().splitlines(keepends=True)
        return [Acknowledged(**json.loads(line)) for line in lines if line.endswith("\n")]


def kill(cluster: LabCluster, module: str) -> int:
    """SIGKILL the cluster's processes that run a Python module; how many there were."""
    found = [pid for pid in cluster.pids() if _runs(pid, module)]
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def _runs(pid: int, module: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"-m" in words and module.encode() in words
