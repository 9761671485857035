"""Events through a node's process: over HTTP, into the log with its syncs, and into ten features.

Told is the CPU time that the node's process takes, user and system, of all its threads; the client is another process
on another core. What one core takes a second follows from it, whether the machine has other work or not.
"""

import http.client
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from tests.bench.data.spread import spread
from tests.bench.features import workload
from tests.cluster.lab.waiting import wait_for

ROUNDS = 10
EVENTS = 50_000
BATCH = 1_000
CLIENTS = 4
# Both are what devices and gateways send; rounds take turns.
_FORMS = {
    "batch": ("application/cloudevents-batch+json", lambda bodies: b"[" + b",".join(bodies) + b"]"),
    "ndjson": ("application/x-ndjson", b"\n".join),
}


def measure(folder: Path, bodies: Sequence[bytes], core: int) -> dict[str, Any]:
    """Events a second of one core's time by form, and through one core by the clock on the wall."""
    folder.mkdir()
    command = [sys.executable, "-m", "tests.bench.features.node", str(folder), str(core)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as node:
        assert node.stdin is not None
        assert node.stdout is not None
        port, applied = int(node.stdout.readline()), 0

        def cpu() -> float:
            node.stdin.write(f"{applied}\n")
            node.stdin.flush()
            return float(node.stdout.readline())

        by_core: dict[str, list[float]] = {name: [] for name in _FORMS}
        by_wall: list[float] = []
        with ThreadPoolExecutor(CLIENTS, initializer=lambda: _connect(port)) as clients:
            _until_open(port)
            for number in range(ROUNDS + 1):
                for name in sorted(_FORMS, reverse=bool(number % 2)):
                    requests = _requests(name, bodies, number)
                    before, began = cpu(), time.perf_counter()
                    for status in clients.map(lambda request: _post(*request), requests):
                        assert status == http.client.OK, status
                    applied += EVENTS
                    took = cpu() - before
                    # The first round only warms up.
                    if number:
                        by_core[name].append(EVENTS / took)
                        by_wall.append(EVENTS / (time.perf_counter() - began))
        node.stdin.close()
    assert node.returncode == 0
    return {
        "events_per_s_core": {name: spread(np.array(rates)) for name, rates in by_core.items()},
        "events_per_s_wall": spread(np.array(by_wall)),
    }


def _requests(form: str, bodies: Sequence[bytes], number: int) -> list[tuple[str, bytes]]:
    content_type, join = _FORMS[form]
    start = number * EVENTS % len(bodies)
    chosen = [*bodies[start:], *bodies[:start]][:EVENTS]
    # As if they came at the rate that is to be reached.
    told = [body for body, _ in workload.retold(chosen, time.time_ns() // 1000 - 1_000_000, 20.0)]
    return [(content_type, join(told[at : at + BATCH])) for at in range(0, EVENTS, BATCH)]


_mine = threading.local()


def _connect(port: int) -> None:
    _mine.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)


def _post(content_type: str, body: bytes) -> int:
    connection: http.client.HTTPConnection = _mine.connection
    connection.request("POST", f"/v1/streams/{workload.STREAM}/events", body, {"content-type": content_type})
    answer = connection.getresponse()
    answer.read()
    return answer.status


def _until_open(port: int) -> None:
    _connect(port)
    wait_for("the stream is open", lambda: _post(_FORMS["batch"][0], b"[]") == http.client.OK, seconds=60, every=0.05)
    _mine.connection.close()
