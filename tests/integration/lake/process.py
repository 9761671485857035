"""The real ingest process, in tests' hands."""

import os
import subprocess
import sys
from contextlib import contextmanager
from urllib.request import urlopen

from tests.integration.ports import free_port


class IngestProcess:
    """`python -m skerry_operator.ingest`, which can be killed and started again."""

    def __init__(self, environment, folder, name):
        self.port = free_port()
        self.log = folder / f"{name}.log"
        self.environment = {
            **os.environ,
            **environment,
            "SKERRY_HEALTH_PORT": str(self.port),
            "SKERRY_POLL_INTERVAL": "20ms",
        }
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "skerry_operator.ingest"], env=self.environment, stdout=log, stderr=log
            )

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        self.process.terminate()
        assert self.process.wait(30) == 0

    def metric(self, name):
        """The sum of a metric over its labels; -1 while the process doesn't answer."""
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/metrics", timeout=2) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return -1.0
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"skerry_ingest_{name}"))

    def healthy(self):
        try:
            with urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return answer.status == 200
        except OSError:
            return False


@contextmanager
def running(*processes):
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            if process.process and process.process.poll() is None:
                process.kill()
