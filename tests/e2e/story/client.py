"""The traffic of one site: open-loop requests without retries, and a ledger of what each was answered.

Run inside the site's network: `python -m tests.e2e.story.client --url … --rows … --ledger … --rate 20`. It stops by
itself at SIGTERM or when its parent goes away. The rows are read again whenever the file is replaced.
"""

import argparse
import json
import math
import os
import signal
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import numpy as np
import urllib3

DEADLINE = 1.0  # seconds; an answer after that is a failure
ROWS_PER_REQUEST = 4
CONNECTIONS = 16


@dataclass(frozen=True)
class Entry:
    """One line of the ledger. `at` is seconds since the epoch, `latency` seconds; `failure` is empty for a success."""

    request: str
    at: float
    latency: float
    failure: str = ""
    prediction: str = ""
    version: str = ""
    variant: str = ""


class Traffic:
    """Sends rows of a file in a fixed shuffled order, round and round."""

    def __init__(self, url: str, rows: Path, ledger: Path) -> None:
        self._url = url
        self._rows_path = rows
        self._ledger = ledger.open("a", buffering=1)
        self._lock = threading.Lock()
        self._pool = urllib3.PoolManager(maxsize=CONNECTIONS, retries=False)
        self._stamp = -1
        self._rows = np.empty((0,))
        self._next = 0

    def batch(self) -> np.ndarray:
        """The next rows, [4, 100, 6]; starts over when the file was replaced."""
        stamp = self._rows_path.stat().st_ino
        if stamp != self._stamp:
            self._stamp, self._rows, self._next = stamp, np.load(self._rows_path), 0
        chosen = np.arange(self._next, self._next + ROWS_PER_REQUEST) % len(self._rows)
        self._next += ROWS_PER_REQUEST
        return self._rows[chosen]

    def send(self, rows: np.ndarray, due: float) -> None:
        """Send one request and write its line; its second runs from `due`, on the monotonic clock."""
        request = uuid.uuid4().hex
        body = {
            "id": request,
            "inputs": [
                {"name": "window", "datatype": "FP32", "shape": list(rows.shape), "data": rows.ravel().tolist()},
            ],
        }
        at = time.time() - (time.monotonic() - due)
        try:
            left = max(0.001, DEADLINE - (time.monotonic() - due))
            answer = self._pool.request("POST", self._url, json=body, timeout=left)
            latency = time.monotonic() - due
            entry = _judge(request, at, latency, answer.status, answer.data)
        except Exception as error:  # noqa: BLE001 - whatever goes wrong is a failure of the site's, not the ledger's
            entry = Entry(request, at, time.monotonic() - due, failure=f"{type(error).__name__}: {error}"[:200])
        with self._lock:
            self._ledger.write(json.dumps(asdict(entry)) + "\n")


def _judge(request: str, at: float, latency: float, status: int, body: bytes) -> Entry:
    if status != 200:
        return Entry(request, at, latency, failure=f"status {status}: {body[:200].decode(errors='replace')}")
    answer = json.loads(body)
    values = [value for output in answer["outputs"] for value in output["data"]]
    parameters = answer.get("parameters", {})
    failure = ""
    if latency > DEADLINE:
        failure = f"late by {latency - DEADLINE:.2f} s"
    elif not values or not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        failure = "not finite"
    return Entry(
        request,
        at,
        latency,
        failure,
        prediction=parameters.get("prediction_id", ""),
        version=answer.get("model_version", ""),
        variant=parameters.get("variant", ""),
    )


def _be_a_machine_of_its_own() -> None:
    """Go before the clusters that share this machine's cores, as far as the kernel lets us.

    What the client waits for a core would be told as the site's latency: with a whole Kubernetes starting beside it
    that was over half a second, while the runtime that it asked waited for 40 ms at most. A niceness counts only among
    the processes of one session (autogroups), so it is a real-time class.
    """
    with suppress(AttributeError, OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))


def main() -> None:
    """Send until told to stop; the pace never depends on the answers."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--rows", type=Path, required=True)
    parser.add_argument("--ledger", type=Path, required=True)
    parser.add_argument("--rate", type=float, default=20.0)
    options = parser.parse_args()
    _be_a_machine_of_its_own()
    stop = threading.Event()

    def on_signal(_signal: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    traffic = Traffic(options.url, options.rows, options.ledger)
    parent = os.getppid()
    with ThreadPoolExecutor(CONNECTIONS) as workers:
        due = time.monotonic()
        while not stop.is_set() and os.getppid() == parent:
            workers.submit(traffic.send, traffic.batch(), due)
            due += 1 / options.rate
            stop.wait(max(0.0, due - time.monotonic()))


if __name__ == "__main__":
    main()
