"""The site's side: what producers send there and are answered, and whose processes are killed."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.cluster.lab import LabCluster
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.device import BATCH, NOISE, Acknowledged, encode
from tests.e2e.faults.world import DISK, World
from tests.e2e.story.platform import ROOT, RUNTIME

RATE = 100.0  # readings a second of each device


@dataclass(frozen=True)
class Answer:
    """What a request was answered."""

    status: int
    answer: dict[str, Any]


@dataclass
class EventsSite:
    """The events port of the world's site, and the devices that send to it."""

    world: World
    folder: Path
    _devices: list[subprocess.Popen[bytes]] = field(default_factory=list, repr=False)

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

    # -- devices -----------------------------------------------------------------------------------------------------

    def _ledger(self, name: str) -> Path:
        return self.folder / f"{name}.jsonl"

    def start_device(
        self, stream: str = "readings", name: str = "reading", *, noise: int = NOISE, off: timedelta = timedelta()
    ) -> None:
        """Start a device that sends readings, as `tests.e2e.events.device` says."""
        self._ledger(name).unlink(missing_ok=True)
        command = [
            sys.executable, "-m", "tests.e2e.events.device",
            f"--url={self.url(stream)}", f"--ledger={self._ledger(name)}", f"--rate={RATE}",
            f"--name={name}", f"--noise={noise}", f"--seconds-off={off.total_seconds()}",
        ]  # fmt: skip
        self._devices.append(self.cluster.exec(command, cwd=ROOT))

    def stop_devices(self) -> None:
        """Stop them; a request under way is still written down if it was answered."""
        for device in self._devices:
            device.terminate()
        while self._devices:
            self._devices.pop().wait(timeout=30)

    def acknowledged(self, name: str = "reading") -> list[Acknowledged]:
        """What the node told a device that it has, in order."""
        if not self._ledger(name).exists():
            return []
        lines = self._ledger(name).read_text().splitlines(keepends=True)
        return [Acknowledged(**json.loads(line)) for line in lines if line.endswith("\n")]


def processes(cluster: LabCluster, module: str) -> list[int]:
    """The cluster's processes that run a Python module."""
    return [pid for pid in cluster.pids() if _runs(pid, module)]


def kill(cluster: LabCluster, module: str) -> int:
    """SIGKILL the cluster's processes that run a Python module; how many there were."""
    found = processes(cluster, module)
    for pid in found:
        os.kill(pid, signal.SIGKILL)
    return len(found)


def _runs(pid: int, module: str) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return b"-m" in words and module.encode() in words
