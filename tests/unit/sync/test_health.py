import socket
from contextlib import ExitStack
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from prometheus_client import CollectorRegistry, Counter

from skerry_edge.sync import health
from skerry_edge.sync.health import HealthServer


@pytest.fixture
def server():
    registry = CollectorRegistry()
    Counter("things", "Things.", registry=registry).inc(3)
    server = HealthServer(("127.0.0.1", 0), registry)
    server.start()
    yield server
    server.stop()


def get(server, path: str) -> tuple[int, str]:
    try:
        with urlopen(f"http://127.0.0.1:{server.server_address[1]}{path}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


@pytest.mark.slow
def test_alive_from_the_start_and_ready_once_told(server):
    assert get(server, "/livez") == (200, "ok\n")
    assert get(server, "/readyz")[0] == 503
    server.ready.set()
    assert get(server, "/readyz") == (200, "ok\n")


@pytest.mark.slow
def test_metrics_are_prometheus_text(server):
    assert "things_total 3.0" in get(server, "/metrics")[1]


@pytest.mark.slow
def test_other_paths_are_not_found(server):
    assert get(server, "/")[0] == 404


@pytest.mark.slow
def test_one_snapshot_goes_out_at_a_time(server):
    server.sealed = lambda name: (6, iter([b"abc", b"def"])) if name == "a" else None
    for path, answer in (("b", (404, "there is no such snapshot\n")), ("a", (200, "abcdef")), ("a", (200, "abcdef"))):
        assert get(server, f"/snapshots/{path}") == answer
        with server.sending:  # once that is over
            assert get(server, "/snapshots/a")[0] == 503


@pytest.mark.slow
def test_connections_that_say_nothing_make_way_for_others(server, monkeypatch):
    monkeypatch.setattr(health, "MAX_CONNECTIONS", 4)
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(server.server_address)) for _ in range(9)]
        assert get(server, "/livez") == (200, "ok\n")
        for each in idle[:5]:
            each.settimeout(5)
            assert each.recv(1) == b"", "the ones that are open for longest go"
        assert len(server.connections) <= 4
        idle[-1].settimeout(5)
        idle[-1].sendall(b"GET /livez HTTP/1.1\r\n\r\n")
        assert idle[-1].recv(12) == b"HTTP/1.1 200"
