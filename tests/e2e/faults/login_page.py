"""A proxy that answers everything with its login page: `python -m tests.e2e.faults.login_page ADDRESS PORT`."""

import sys
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer

PAGE = b"<!DOCTYPE html><html><body><form>Welcome! Please log in to use the network.</form></body></html>"


class LoginPage(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(PAGE)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(PAGE)

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _answer  # noqa: N815 - the base class's names


class Proxy(ThreadingTCPServer):
    """Not the standard library's HTTP server, which looks up its own name first: here that takes ten seconds."""

    allow_reuse_address = True
    daemon_threads = True


if __name__ == "__main__":
    Proxy((sys.argv[1], int(sys.argv[2])), LoginPage).serve_forever()
