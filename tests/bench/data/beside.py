"""How long inference takes while the same process takes in as many events as it can: the whole process, over HTTP.

The process has one core, its clients another where there is one. Quiet seconds and busy ones take turns, so that both
have the same neighbours.
"""

import http.client
import json
import multiprocessing
import os
import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from skerry_core.canonical import canonical_json
from tests.bench.data.spread import spread
from tests.integration.inference import models
from tests.integration.inference.node import Node
from tests.sigstore_instance import PrivateSigstore
from tests.unit.ingest.worlds import policy, stream_policy

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

ROUNDS = 15
SECONDS = 2.0  # of each half of a round
SETTLE_SECONDS = 0.3
EVENTS = 100  # a request
CONNECTIONS = 4
STREAM = "readings"
_LINES = b"".join(b'{"rms":0.%03d,"celsius":%d}\n' % (n, n % 90) for n in range(EVENTS))


def measure(folder: Path, cores: Collection[int]) -> dict[str, Any]:
    """The 99th percentile of a small model's answers, alone and beside ingest, and the ratio in each round."""
    spawn = multiprocessing.get_context("spawn")
    p99: dict[str, list[float]] = {"alone": [], "beside": []}
    rates = []
    busy, stop, taken = spawn.Event(), spawn.Event(), spawn.Value("q", 0)
    with _serving(folder, min(cores)) as node:
        producer = spawn.Process(target=produce, args=(node.events_port, busy, stop, taken), daemon=True)
        producer.start()
        try:
            for number in range(ROUNDS + 1):
                for name in sorted(p99, reverse=bool(number % 2)):
                    (busy.set if name == "beside" else busy.clear)()
                    time.sleep(SETTLE_SECONDS)
                    before, began = taken.value, time.perf_counter()
                    found = _p99(node.http_port)
                    rate = (taken.value - before) / (time.perf_counter() - began)
                    if number:  # the first round only warms up
                        p99[name].append(found)
                        rates += [rate] if name == "beside" else []
        finally:
            stop.set()
            busy.set()
            producer.join(30)
    return {
        "ms": {name: spread(1000 * np.array(each)) for name, each in p99.items()},
        "events_per_s": spread(np.array(rates)),
        "ratio": spread(np.array(p99["beside"]) / np.array(p99["alone"])),
    }


@contextmanager
def _serving(folder: Path, core: int) -> Iterator[Node]:
    """A node's process on a core of its own, with a model that serves and a stream that takes events."""
    folder.mkdir()
    others = os.sched_getaffinity(0)
    with PrivateSigstore.start() as sigstore:
        node = Node(folder, sigstore)
        try:
            streams = policy(stream_policy(STREAM))
            release = node.release("1.0.0", models.good())
            node.assign(release, sync_policy=node.put_blob(canonical_json(streams.to_wire())))
            os.sched_setaffinity(0, {core})
            node.start()
            os.sched_setaffinity(0, others)
            node.wait_phase("Serving", release)
            node.wait(lambda: _post(http.client.HTTPConnection("127.0.0.1", node.events_port), 0) == EVENTS)
            yield node
        finally:
            os.sched_setaffinity(0, others)
            node.close()


def _p99(port: int) -> float:
    """Seconds that one request of a hundred takes at least, of one client that sends them one after another."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    body = json.dumps({"inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1, 2, 3, 4]}]})
    took: list[float] = []
    until = time.perf_counter() + SECONDS
    while (began := time.perf_counter()) < until:
        connection.request("POST", "/v2/models/har/infer", body)
        answer = connection.getresponse()
        answer.read()
        took.append(time.perf_counter() - began)
        assert answer.status == http.HTTPStatus.OK
    connection.close()
    return float(np.quantile(took, 0.99))


def produce(port: int, busy: Event, stop: Event, taken: "Synchronized[int]") -> None:
    """Post events while `busy` is set, over several connections at once, and count what was acknowledged."""
    os.nice(5)  # it must not take the core from the client that measures

    def run(number: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        at = number
        while not stop.is_set():
            busy.wait()
            done = _post(connection, at % 64)
            at += CONNECTIONS
            with taken.get_lock():
                taken.value += done

    threads = [threading.Thread(target=run, args=(number,)) for number in range(CONNECTIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _post(connection: http.client.HTTPConnection, source: int) -> int:
    """Post events of one source; how many were acknowledged."""
    headers = {"content-type": "application/x-ndjson", "ce-source": f"press-{source}"}
    try:
        connection.request("POST", f"/v1/streams/{STREAM}/events", _LINES, headers)
        answer = json.loads(connection.getresponse().read())
    except OSError:
        connection.close()
        return 0
    return int(answer.get("accepted", 0))
