"""Liveness, readiness and metrics over HTTP, and snapshots of features for other nodes.

Readiness means that the disk was read; it never asks the network.
"""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

_TEXT = "text/plain; charset=utf-8"
SNAPSHOTS = "/snapshots/"
# Each takes a thread. With more, those that are open for longest are cut: probes and scrapers are done at once.
MAX_CONNECTIONS = 64

# By a file's name its length and bytes as they go out; None if there is none. The bytes raise OSError.
Sealed = Callable[[str], tuple[int, Iterator[bytes]] | None]


class HealthServer(ThreadingHTTPServer):
    """Serves /livez, /readyz, /metrics and /snapshots/NAME from threads of its own; port 0 takes any free one."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry, sealed: Sealed = lambda _: None) -> None:
        super().__init__(address, _Handler)
        self.registry = registry
        self.sealed = sealed
        # One at a time: a node that serves has better things to do.
        self.sending = threading.Lock()
        self.ready = threading.Event()
        # Oldest first.
        self.connections: dict[socket.socket, None] = {}
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to answer; returns at once."""
        threading.Thread(target=self.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection, as the base class does."""
        request, address = super().get_request()
        with self._lock:
            self.connections[request] = None
            while len(self.connections) > MAX_CONNECTIONS:
                oldest = next(iter(self.connections))
                del self.connections[oldest]
                with suppress(OSError):  # it has just gone by itself
                    oldest.shutdown(socket.SHUT_RDWR)
        return request, address

    def shutdown_request(self, request: Any) -> None:
        """End a connection, as the base class does."""
        with self._lock:
            self.connections.pop(request, None)
        super().shutdown_request(request)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 10
    server: HealthServer

    def do_GET(self) -> None:
        match self.path:
            case "/livez":
                self._answer(HTTPStatus.OK, b"ok\n", _TEXT)
            case "/readyz" if self.server.ready.is_set():
                self._answer(HTTPStatus.OK, b"ok\n", _TEXT)
            case "/readyz":
                self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"the disk has not been read yet\n", _TEXT)
            case "/metrics":
                self._answer(HTTPStatus.OK, generate_latest(self.server.registry), CONTENT_TYPE_LATEST)
            case path if path.startswith(SNAPSHOTS):
                self._send(path.removeprefix(SNAPSHOTS))
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"there are /livez, /readyz, /metrics and /snapshots/NAME\n", _TEXT)

    def _send(self, name: str) -> None:
        if not self.server.sending.acquire(blocking=False):
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, b"another node is being sent one\n", _TEXT)
            return
        try:
            found = self.server.sealed(name)
            if found is None:
                self._answer(HTTPStatus.NOT_FOUND, b"there is no such snapshot\n", _TEXT)
                return
            self.close_connection = True
            length, chunks = found
            self.send_response(HTTPStatus.OK)
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(length))
            self.end_headers()
            for chunk in chunks:
                self.wfile.write(chunk)
        except OSError:
            self.close_connection = True  # the file or whoever asked for it went away; it notices by the length
        finally:
            self.server.sending.release()

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent: probes come every few seconds."""
