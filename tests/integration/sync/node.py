"""A node: its volume, the inference that it believes in, and sync on it."""

import base64
import json
import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from skerry_core.assignment.document import AssignmentDocument
from skerry_core.store.grant import StoreGrant
from skerry_core.trust.assignment import seal_assignment
from skerry_core.trust.keys import KeyPair, generate_key_pair
from skerry_edge.sync.process import Sync
from skerry_edge.sync.settings import Settings
from skerry_edge.telemetry.error_classes import ErrorClasses
from tests.cluster.lab.waiting import wait_for
from tests.integration.ports import free_port


class Inference(ThreadingHTTPServer):
    """Says on /status what a test wants it to."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Status)
        self.status = {"models": [], "resident": []}
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: a sync that is killed while it asks is what some tests are about."""


class _Status(BaseHTTPRequestHandler):
    server: Inference

    def do_GET(self) -> None:
        body = json.dumps(self.server.status).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Node:
    """A volume, and what the pod template would tell sync; `credentials` is the folder with token and ca.crt."""

    folder: Path
    api_url: str
    credentials: Path
    inference: Inference
    name: str = "node-1"
    hub: KeyPair = field(default_factory=generate_key_pair)
    process: subprocess.Popen[bytes] | None = None
    sync: Sync | None = None

    def __post_init__(self):
        self.root = self.folder / "volume"
        self.root.mkdir()
        (self.folder / "trust").mkdir()
        (self.folder / "trust" / "hub.pub").write_bytes(self.hub.public_pem)
        self.port = free_port()

    def seal(self, document: AssignmentDocument) -> str:
        return seal_assignment(document, self.hub.private_pem)

    @property
    def environment(self) -> dict[str, str]:
        host, _, port = self.api_url.removeprefix("https://").partition(":")
        return {
            "PATH": os.environ["PATH"],
            "SKERRY_SITE": "site-a",
            "SKERRY_NODE": self.name,
            "SKERRY_ROOT": str(self.root),
            "SKERRY_TRUST_DIR": str(self.folder / "trust"),
            "SKERRY_CREDENTIALS_DIR": str(self.credentials),
            "SKERRY_STATUS_PORT": str(self.inference.server_address[1]),
            "SKERRY_SYNC_PORT": str(self.port),
            "SKERRY_ADDRESS": "127.0.0.1",
            "KUBERNETES_SERVICE_HOST": host,
            "KUBERNETES_SERVICE_PORT": port,
        }

    def start(self) -> None:
        """Run the process, as the container does."""
        with self.log.open("ab") as log:
            program = [sys.executable, "-m", "skerry_edge.sync"]
            self.process = subprocess.Popen(program, env=self.environment, stdout=log, stderr=log)
        self.wait("sync is ready", self.is_ready)

    def kill(self) -> None:
        """SIGKILL the process, as the kernel or a power cut would."""
        self.process.kill()
        self.process.wait()
        self.process = None

    def start_here(self) -> None:
        """Run everything that the process does in threads of this one: sooner there, for tests that kill nothing."""
        self.sync = Sync(Settings.from_environment(self.environment), ErrorClasses())
        self.sync.start()

    def stop(self) -> None:
        if self.process is not None:
            self.kill()
        if self.sync is not None:
            self.sync.stop()
            self.sync = None

    def terminate(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=5)

    def wait(self, what: str, condition, seconds: float = 120.0) -> None:
        wait_for(what, condition, seconds=seconds, every=0.02, log=self.log, gone=self._gone)

    @property
    def log(self) -> Path:
        return self.folder / "sync.log"

    def get(self, path: str) -> str:
        with urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return answer.read().decode()

    def is_ready(self) -> bool:
        try:
            return self.get("/readyz") == "ok\n"
        except (URLError, ConnectionError):
            return False

    def has(self, *digests: str) -> bool:
        folder = self.root / "store" / "blobs" / "sha256"
        return all((folder / digest.removeprefix("sha256:")).exists() for digest in digests)

    def partial(self, digest: str) -> int:
        """Bytes received of an unfinished download."""
        path = self.root / "store" / "blobs" / "partial" / digest.removeprefix("sha256:")
        return path.stat().st_size if path.exists() else 0

    def downloads(self) -> dict[str, str]:
        """Reasons by digest of what isn't there yet."""
        try:
            told = json.loads((self.root / "store" / "downloads.json").read_bytes())
        except FileNotFoundError:
            return {}
        return {entry["digest"]: entry["reason"] for entry in told}

    def working_set(self) -> int:
        """Resident bytes of the process."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        raise AssertionError("no VmHWM")

    def _gone(self) -> str | None:
        code = None if self.process is None else self.process.poll()
        return None if code is None else f"sync exited with {code}"


def encoded(grant: StoreGrant) -> str:
    """A grant as a Secret holds it."""
    return base64.b64encode(grant.model_dump_json(by_alias=True).encode()).decode()
