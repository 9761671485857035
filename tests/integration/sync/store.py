"""A store over loopback HTTP that answers as S3 does to a grant, until a test says otherwise."""

import email
import email.policy
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from xml.sax.saxutils import escape

from skerry_core.store.grant import StoreGrant, UploadGrant

PREFIX = "sites/site-a/"
PAGE = b"<!doctype html><title>Sign in</title>"


@dataclass
class LoopbackStore:
    """Blobs by digest and uploaded objects by key. Faults:

    `fault` is None, "page", "forbidden", "error" or "wrong bytes" and meets every request; `cut_after` ends the body of
    a GET after so many bytes; `pause` seconds go by after each KiB of a GET.
    """

    blobs: dict[str, bytes] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    fault: str | None = None
    cut_after: int | None = None
    pause: float = 0.0
    ranges: list[str] = field(default_factory=list)
    sent: int = 0

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.store = self
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self._server.shutdown()
        self._server.server_close()

    def grant(self, lifetime: timedelta = timedelta(hours=1)) -> StoreGrant:
        return StoreGrant(
            site="site-a",
            expires_at=datetime.now(UTC) + lifetime,
            blobs={digest: f"{self.url}/{digest}" for digest in self.blobs},
            list_url=f"{self.url}/?list-type=2",
            resend_url=f"{self.url}/?list-type=2&prefix={PREFIX}resend/",
            upload=UploadGrant(
                url=f"{self.url}/", fields={"success_action_status": "201"}, prefix=PREFIX, max_bytes=1 << 24
            ),
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    store: LoopbackStore

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing: clients that are killed are what these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        store = self.server.store
        if self._fails():
            return
        if "list-type" in self.path:
            prefix = self.path.partition("prefix=")[2]
            entries = "".join(
                f"<Contents><Key>{escape(key)}</Key><Size>{len(data)}</Size></Contents>"
                for key, data in sorted(store.objects.items())
                if key.startswith(prefix)
            )
            self._answer(200, f"<ListBucketResult>{entries}</ListBucketResult>".encode(), "application/xml")
            return
        data = store.blobs[self.path.removeprefix("/")]
        if store.fault == "wrong bytes":
            data = b"\0" * len(data)
        asked = self.headers.get("Range", "")
        store.ranges.append(asked)
        first, _, last = asked.removeprefix("bytes=").partition("-")
        start, size = int(first or 0), len(data)
        data = data[: int(last) + 1] if last else data
        self.send_response(206 if asked else 200)
        if asked:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{size}")
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("ETag", '"etag"')
        self.end_headers()
        self._send(data[start:][: store.cut_after])

    def _send(self, data: bytes) -> None:
        store = self.server.store
        self.close_connection = store.cut_after is not None
        step = 1024 if store.pause else len(data) or 1
        for at in range(0, len(data), step):
            self.wfile.write(data[at : at + step])
            store.sent += step
            if store.pause:
                time.sleep(store.pause)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self._fails():
            return
        head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
        form = email.message_from_bytes(head + body, policy=email.policy.HTTP)
        parts = {part.get_param("name", header="content-disposition"): part for part in form.iter_parts()}
        key = parts["key"].get_payload(decode=True).decode()
        self.server.store.objects[key] = parts["file"].get_payload(decode=True)
        self._answer(201, f"<PostResponse><Key>{key}</Key></PostResponse>".encode(), "application/xml")

    def _fails(self) -> bool:
        match self.server.store.fault:
            case "page":
                self._answer(200, PAGE, "text/html; charset=utf-8")
            case "forbidden":
                self._answer(403, b"<Error><Code>AccessDenied</Code></Error>", "application/xml")
            case "error":
                self._answer(503, b"<Error><Code>SlowDown</Code></Error>", "application/xml")
            case _:
                return False
        return True

    def _answer(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass
