"""What the meter is told, against what a socket on the other side saw."""

import socket
import ssl
import threading

import pytest
import urllib3

from skerry_core.store.http import GuardedPool
from skerry_core.store.metered import HANDSHAKE_RECEIVED, HANDSHAKE_SENT, MeteredPool
from tests.integration.sync.kube import _self_signed

ANSWER = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: %d\r\n\r\n%s'


class Count:
    def __init__(self):
        self.out = self.back = 0

    def sent(self, size):
        self.out += size

    def received(self, size):
        self.back += size


class Peer:
    """Answers each request of one connection after another with the next of `answers`; counts what goes by."""

    def __init__(self, *answers: bytes, context: ssl.SSLContext | None = None):
        self.answers, self.context = list(answers), context
        self.got = self.gave = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        with self._listener:
            while self.answers:
                connection, _ = self._listener.accept()
                if self.context is not None:
                    connection = self.context.wrap_socket(connection, server_side=True)
                with connection:
                    while self.answers and self._one(connection):
                        pass

    def _one(self, connection) -> bool:
        data = b""
        while b"\r\n\r\n" not in data:
            if not (more := connection.recv(1 << 16)):
                return False
            data += more
        head, _, body = data.partition(b"\r\n\r\n")
        lengths = [line.split(b":")[1] for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")]
        left = int(lengths[0]) - len(body) if lengths else 0
        while left > 0:
            more = connection.recv(1 << 16)
            data, left = data + more, left - len(more)
        self.got += len(data)
        answer = self.answers.pop(0)
        self.gave += len(answer)
        connection.sendall(answer)
        return b"close" not in answer


def ok(size: int) -> bytes:
    return ANSWER % (size, b"x" * size)


@pytest.mark.parametrize("size", [0, 10, 300_000])
def test_heads_and_bodies_count_both_ways(size):
    peer, count = Peer(ok(size), ok(7)), Count()
    with MeteredPool(count) as pool:
        assert len(pool.request("GET", f"http://127.0.0.1:{peer.port}/").data) == size
        pool.request("POST", f"http://127.0.0.1:{peer.port}/", fields={"file": ("data", b"y" * size, "x/y")})
    assert (count.out, count.back) == (peer.got, peer.gave)


@pytest.mark.slow
def test_every_repeated_request_counts():
    unavailable = b"HTTP/1.1 503 Slow\r\nContent-Length: 4\r\n\r\nslow"
    peer, count = Peer(unavailable, unavailable, ok(5)), Count()
    with GuardedPool(meter=count) as pool:
        pool.request("GET", f"http://127.0.0.1:{peer.port}/")
    assert (count.out, count.back) == (peer.got, peer.gave)


def test_a_body_that_breaks_off_counts_as_far_as_it_came():
    cut = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nConnection: close\r\nContent-Length: 100\r\n\r\nabc'
    peer, count = Peer(cut), Count()
    with GuardedPool(meter=count, retries=0) as pool:
        response = pool.request("GET", f"http://127.0.0.1:{peer.port}/", preload_content=False)
        with pytest.raises(urllib3.exceptions.HTTPError):
            response.read()
    assert (count.out, count.back) == (peer.got, peer.gave)


def test_a_tls_connection_counts_its_handshake_once(tmp_path):
    certificate, key = _self_signed()
    (tmp_path / "ca.pem").write_bytes(certificate)
    (tmp_path / "server.pem").write_bytes(key + certificate)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.pem")
    peer, count = Peer(ok(5), ok(6), context=context), Count()
    with MeteredPool(count, ca_certs=str(tmp_path / "ca.pem")) as pool:
        for _ in range(2):
            pool.request("GET", f"https://127.0.0.1:{peer.port}/")
    assert count.out == peer.got + HANDSHAKE_SENT
    assert count.back == peer.gave + HANDSHAKE_RECEIVED


def test_without_a_meter_it_is_a_pool_as_any():
    peer = Peer(ok(5))
    with MeteredPool(None) as pool:
        assert pool.request("GET", f"http://127.0.0.1:{peer.port}/").data == b"xxxxx"
