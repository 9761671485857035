"""Liveness, readiness and metrics over HTTP. Readiness means that the disk was read; it never asks the network."""

import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest

_TEXT = "text/plain; charset=utf-8"


class HealthServer(ThreadingHTTPServer):
    """Serves /livez, /readyz and /metrics from threads of its own; port 0 takes any free one."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], registry: CollectorRegistry) -> None:
        super().__init__(address, _Handler)
        self.registry = registry
        self.ready = threading.Event()

    def start(self) -> None:
        """Begin to answer; returns at once."""
        threading.Thread(target=self.serve_forever, name="health", daemon=True).start()

    def stop(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()


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
            case _:
                self._answer(HTTPStatus.NOT_FOUND, b"there are /livez, /readyz and /metrics\n", _TEXT)

    def _answer(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent: probes come every few seconds."""
