"""`skerry explain` from a node's volume, and through a cluster."""

import base64
import hashlib
import json
import socketserver
import threading

import msgspec
import pytest
from kubernetes.client import Configuration

from skerry_core.lineage.explain import explain
from skerry_core.lineage.explanation import Explanation, Missing, PairTold, PayloadTold, TrainingTold
from skerry_core.lineage.record import TensorRecord
from skerry_operator.cli import cluster
from skerry_operator.cli.explanation_text import SHOWN_EVENTS, SHOWN_VALUES, lines
from skerry_operator.kube.resources import PODS
from skerry_operator.site.names import RUNTIME_LABELS
from tests.unit.features.sets import event
from tests.unit.lineage.cases import ago, found, kept, recorded
from tests.unit.lineage.test_node import EVENTS, Site

ID = "berlin/node-1/fedcba9876543210/7"


def told(**changes) -> Explanation:
    record, _ = recorded(EVENTS)
    explanation = explain(
        found(record), {"f": kept(EVENTS, [2, 3, 4], [Missing("they expired on this node", 2)])}, "node"
    )
    return msgspec.structs.replace(explanation, **changes)


def test_as_text():
    text = list(lines(told()))
    assert text[0] == f"prediction  {ID}"
    assert "model       team/har 1.0.0 (champion), 1 ms" in text
    assert "about       press press-1" in text
    (mean,) = (line for line in text if line.startswith("  mean"))
    assert mean.split()[:5] == ["mean", "OUTSIDE_MAX_AGE", "300.0", "s", "4"]
    (past,) = (line for line in text if line.startswith("  past"))
    assert "2 kept of 3" in past
    assert any(line.endswith("can't be looked at: they expired on this node") for line in text)
    assert "  2 events of vibration, the newest first:" in text
    assert all(line == line.rstrip() for line in text)


def test_as_text_with_all_there_is():
    pair = PairTold("sha256:" + "1" * 64, "sha256:" + "2" * 64, 0.001, None, 4, 1, "Timeout")
    text = "\n".join(lines(told(pair=pair, given=("x",), notes=("odd",), inputs=())))
    assert "canary      111111111111 against 222222222222: 1 of 4 rows differ, 1 ms against -, Timeout" in text
    assert "given       by the client: x" in text
    assert "note        odd" in text


def test_inputs_and_outputs_as_text():
    long = TensorRecord("FP32", (1, SHOWN_VALUES + 3), tuple(number / 4 for number in range(SHOWN_VALUES + 3)))
    inputs = {"x": long, "secret": TensorRecord("INT64", (1,)), "odd": TensorRecord("FP32", (2, 0), ())}
    text = list(lines(told(payload=PayloadTold(inputs, {"y": TensorRecord("BOOL", (2,), (True, None))}))))
    assert (
        "saw         x, FP32 [1, 15]: 0 0.25 0.5 0.75 1 1.25 1.5 1.75 2 2.25 2.5 2.75 … and 3 more: --json has them"
        in text
    )
    assert "saw         secret, INT64 [1]: withheld" in text
    assert "saw         odd, FP32 [2, 0]: no values" in text
    assert "gave        y, BOOL [2]: True -" in text


def test_what_the_release_was_trained_on():
    text = list(lines(told(training=TrainingTold("w47", "2026-11-20T08:30:00.000000Z", ("sha256:" + "3" * 64,)))))
    assert f"trained     in round w47, 2026-11-20T08:30:00.000000Z, on sha256:{'3' * 64}" in text


def test_what_prepared_the_inputs():
    assert "prepared    by preprocessing 2.1.0" in list(lines(told(preprocessing_version="2.1.0")))
    assert not any(line.startswith("prepared") for line in lines(told()))


def test_long_lists_are_cut():
    events = [event({"rms": 1.0}, ago(400) + number) for number in range(SHOWN_EVENTS + 9)]
    record, _ = recorded(events)
    text = list(lines(explain(found(record), {"f": kept(events)}, "node")))
    assert text[-1] == f"  … and 9 more: --json has up to {SHOWN_EVENTS + 9}"


@pytest.fixture
def volume(tmp_path):
    (tmp_path / "store" / "blobs" / "sha256").mkdir(parents=True)
    site = Site(tmp_path)
    site.append(EVENTS)
    yield tmp_path, site.predict()
    site.logs.close()


def test_from_a_volume(run, volume):
    root, prediction = volume
    answer = run("explain", prediction, "--volume", root)
    assert answer.exit_code == 0, answer.stderr
    assert "3 events of vibration" in answer.stdout
    answer = run("explain", prediction, "--volume", root, "--json")
    assert json.loads(answer.stdout)["inputs"][0]["eventsFound"] == 3


def test_what_is_refused(run, volume):
    root, prediction = volume
    assert "say where to look" in run("explain", prediction).stderr
    assert "no prediction id" in run("explain", "7", "--volume", root).stderr
    answer = run("explain", prediction.rpartition("/")[0] + "/9", "--volume", root)
    assert (answer.exit_code, "no such number" in answer.stderr) == (1, True)


# Through a cluster: what an API server says over a WebSocket, frame by frame


class ApiServer(socketserver.ThreadingTCPServer):
    """Forwards one port as `v4.channel.k8s.io` does: two channels, each begun with its port; answers one request."""

    allow_reuse_address = daemon_threads = True

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), _Forwarding)
        self.answer = answer
        self.asked = []


class _Forwarding(socketserver.StreamRequestHandler):
    def handle(self):
        head = self.upto(self.rfile.readline)
        self.server.asked.append(head[0])
        key = next(line.partition(": ")[2] for line in head if line.lower().startswith("sec-websocket-key"))
        accept = base64.b64encode(hashlib.sha1(f"{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11".encode()).digest())
        self.wfile.write(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Protocol: v4.channel.k8s.io\r\nSec-WebSocket-Accept: " + accept + b"\r\n\r\n"
        )
        for channel in (0, 1):
            self.frame(bytes([channel]) + (8081).to_bytes(2, "little"))
        request = b""
        while b"\r\n\r\n" not in request:
            request += self.received()[1:]
        self.server.asked.append(request.split(b"\r\n")[0].decode())
        for start in range(0, len(self.server.answer), 1000):
            self.frame(b"\0" + self.server.answer[start : start + 1000])
        self.rfile.read(2)  # the client closes

    def upto(self, readline):
        head = []
        while line := readline().decode().rstrip():
            head.append(line)
        return head

    def frame(self, data):
        size = bytes([len(data)]) if len(data) < 126 else bytes([126]) + len(data).to_bytes(2, "big")
        self.wfile.write(b"\x82" + size + data)

    def received(self):
        _, size = self.rfile.read(2)
        size &= 0x7F
        if size == 126:
            size = int.from_bytes(self.rfile.read(2), "big")
        mask = self.rfile.read(4)
        return bytes(byte ^ mask[at % 4] for at, byte in enumerate(self.rfile.read(size)))


@pytest.fixture
def forwarding(kube, monkeypatch):
    """A cluster with a runtime pod on node-1, behind an API server that gives the answer."""
    pod = {"metadata": {"name": "runtime-x", "namespace": "skerry-runtime", "labels": RUNTIME_LABELS}}
    kube.create(PODS, {"apiVersion": "v1", "kind": "Pod", **pod, "spec": {"nodeName": "node-1"}})
    servers = []

    def serve(status, body):
        server = ApiServer(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        configuration = Configuration()
        configuration.host = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setattr(cluster, "configured", lambda _="": (configuration, {}))
        return server

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.slow
def test_from_the_node_that_answered(run, forwarding):
    server = forwarding("200 OK", msgspec.json.encode(told()))
    answer = run("explain", ID, "--node", "--json")
    assert answer.exit_code == 0, answer.stderr
    assert msgspec.json.decode(answer.stdout, type=Explanation) == told()
    assert "/api/v1/namespaces/skerry-runtime/pods/runtime-x/portforward?ports=8081" in server.asked[0]
    assert server.asked[1] == f"GET /v1/predictions/{ID} HTTP/1.1"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "body", "text"),
    [
        ("404 Not Found", b"prediction x isn't here: it expired\n", "it expired"),
        ("503 Service Unavailable", b"busy\n", "HTTP 503: busy"),
        ("200 OK", b"<html>", "answers in other terms"),
    ],
)
def test_a_node_that_refuses(run, forwarding, status, body, text):
    forwarding(status, body)
    answer = run("explain", ID, "--node")
    assert (answer.exit_code, text in answer.stderr) == (1, True), answer.stderr


@pytest.mark.slow
def test_a_node_that_is_not_there(run, forwarding):
    forwarding("200 OK", b"")
    assert "no runtime runs on a node 'node-9'" in run("explain", "berlin/node-9/e/1", "--node").stderr


@pytest.mark.slow
def test_an_api_server_that_is_not_there(run, kube, forwarding, monkeypatch):
    configuration = Configuration()
    configuration.host = "http://127.0.0.1:1"
    monkeypatch.setattr(cluster, "configured", lambda _="": (configuration, {}))
    answer = run("explain", ID, "--node")
    assert (answer.exit_code, "port 8081 of pod skerry-runtime/runtime-x" in answer.stderr) == (1, True)
