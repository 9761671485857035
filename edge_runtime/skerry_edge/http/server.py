"""A small HTTP/1.1 server over asyncio and httptools: every read, wait and queue has a bound.

Measured against ASGI servers (docs/adr/0007-our-own-http-server.md), half of a small model's latency was the server;
this one does what an inference node needs and nothing else. Requests of one connection are answered in order, pipelined
or not; nothing is read from a client that doesn't take its answers.
"""

import asyncio
import time
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import cast

import httptools
import structlog

from skerry_edge.http.message import ErrorBody, Handler, Request, Response

MAX_HEAD_BYTES = 16 << 10
# A 3 x 224 x 224 picture is 3 MiB of JSON at full precision. Decoded, numbers take many times the room of their digits.
MAX_BODY_BYTES = 8 << 20
# Eight of the largest: more than there are threads to decode them, and little beside two models and their runtime.
MAX_HELD_BYTES = 64 << 20
MAX_PIPELINED = 16
MAX_CONNECTIONS = 1024
REQUEST_TIMEOUT = 30.0
WRITE_TIMEOUT = 30.0
IDLE_TIMEOUT = 75.0
# After a refusal, so much of what is still coming is thrown away: closed at once, most clients would never see why.
LINGER_TIMEOUT = 2.0
LINGER_BYTES = 8 << 20
_SWEEP_INTERVAL = 1.0

_log = structlog.get_logger(__name__)


class _Refused(Exception):  # noqa: N818 - it only carries a status out of the parser
    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


class BodyBudget:
    """Bytes of request bodies that all servers of a process may hold, from their arrival to their answers."""

    def __init__(self, limit: int = MAX_HELD_BYTES) -> None:
        self._limit = limit
        self.held = 0

    def require(self, size: int) -> None:
        """Raise a refusal with 503 if there is no room for so many bytes now."""
        if self.held + size > self._limit:
            raise _Refused(HTTPStatus.SERVICE_UNAVAILABLE, "too many bytes of requests are waiting, try again")

    def take(self, size: int) -> None:
        """Count bytes that came. Only these count: a client holds nothing by announcing a body."""
        self.require(size)
        self.held += size

    def give_back(self, size: int) -> None:
        """Count bytes that are no longer held."""
        self.held -= size


class HttpServer:
    """One listening port."""

    def __init__(
        self, handler: Handler, error_body: ErrorBody, bodies: BodyBudget, *, max_body: int = MAX_BODY_BYTES
    ) -> None:
        """`handler` answers requests; `error_body` words the refusals that this server makes itself."""
        self.handler = handler
        self.max_body = max_body
        self.error_body = error_body
        self.bodies = bodies
        self.connections: set[Connection] = set()
        self.draining = False
        self._empty = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._sweeper: asyncio.Task[None] | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen, and return the port (of interest if `port` is 0); OSError if it is taken."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: Connection(self), host, port, backlog=256)
        self._sweeper = asyncio.create_task(self._sweep())
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self, grace: float) -> None:
        """Stop listening, let requests under way finish for up to `grace` seconds, then cut what is left."""
        if self._server is None or self._sweeper is None:
            return
        self.draining = True
        if not self.connections:
            self._empty.set()
        self._server.close()
        for connection in tuple(self.connections):
            connection.close_when_idle()
        with suppress(TimeoutError):
            await asyncio.wait_for(self._empty.wait(), grace)
        self._sweeper.cancel()
        for connection in tuple(self.connections):
            connection.abort()

    def forget(self, connection: "Connection") -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        if self.draining and not self.connections:
            self._empty.set()

    async def _sweep(self) -> None:
        """Cut clients that are past a deadline; one timer for all keeps the request path free of timers."""
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL)
            now = time.monotonic()
            for connection in tuple(self.connections):
                connection.check_deadline(now)


class Connection(asyncio.Protocol):
    """One client: parses into a queue, and one task at a time answers from it."""

    def __init__(self, server: HttpServer) -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._client = ""
        self._queue: deque[tuple[Request, bool] | Response] = deque()
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._deadline = time.monotonic() + IDLE_TIMEOUT
        self._reading = False
        self._finished = False
        self._lingering = False
        self._thrown_away = 0
        self._reset()

    def _reset(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._head_bytes = 0
        self._body_bytes = 0
        self._in_head = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if len(self._server.connections) >= MAX_CONNECTIONS or self._server.draining:
            self._transport.close()
            return
        peer = self._transport.get_extra_info("peername")
        self._client = str(peer[0]) if isinstance(peer, tuple) else ""
        self._server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        self._transport = None
        self._finished = True
        self._drop_body()
        self._drop_queue()
        self._writable.set()
        self._server.forget(self)

    def eof_received(self) -> bool:
        """Keep a half-closed connection open while answers are due."""
        self._finished = True
        return self._busy()

    def pause_writing(self) -> None:
        self._writable.clear()
        self._deadline = time.monotonic() + WRITE_TIMEOUT
        self._pace()

    def resume_writing(self) -> None:
        self._writable.set()
        self._pace()

    def data_received(self, data: bytes) -> None:
        if self._finished:
            self._thrown_away += len(data)
            if self._thrown_away > LINGER_BYTES:
                self.abort()
            return
        began_before = self._in_head
        try:
            self._parser.feed_data(data)
            if began_before and self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > MAX_HEAD_BYTES:
                    self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")
        except httptools.HttpParserCallbackError as error:
            refused = error.__context__
            if not isinstance(refused, _Refused):
                raise
            self._refuse(refused.status, str(refused))
        except httptools.HttpParserUpgrade:
            self._finished = True
        except httptools.HttpParserError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, f"not HTTP/1.1: {error}")
        self._pace()
        self._serve()

    # httptools

    def on_message_begin(self) -> None:
        self._reset()
        self._in_head = True
        self._reading = True
        self._deadline = time.monotonic() + REQUEST_TIMEOUT

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_head(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_head(len(name) + len(value))
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._in_head = False
        length = self._headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self._server.max_body:
            raise self._too_large()
        self._server.bodies.require(int(length))
        if self._headers.get("expect", "").lower() == "100-continue" and not self._busy() and self._transport:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._body_bytes + len(body) > self._server.max_body:
            raise self._too_large()
        self._server.bodies.take(len(body))
        self._body_bytes += len(body)
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._reading = False
        self._deadline = time.monotonic() + IDLE_TIMEOUT
        try:
            path = (httptools.parse_url(self._url).path or b"/").decode("latin-1")
        except httptools.HttpParserError as error:
            raise _Refused(HTTPStatus.BAD_REQUEST, "the request's target is no URL") from error
        method = self._parser.get_method().decode("latin-1")
        request = Request(method, path, self._headers, b"".join(self._body), self._client)
        self._queue.append((request, self._parser.should_keep_alive()))
        self._body, self._body_bytes = [], 0

    def _count_head(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MAX_HEAD_BYTES:
            raise _Refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request's head is too large")

    def _too_large(self) -> _Refused:
        most = self._server.max_body
        return _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a body may have at most {most} bytes")

    # Answering

    def _serve(self) -> None:
        if self._queue and self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._answer())
        elif self._finished and not self._busy():
            self._close()

    async def _answer(self) -> None:
        try:
            while self._queue and self._transport is not None:
                item = self._queue.popleft()
                self._pace()
                if isinstance(item, Response):
                    self._write(item.encode(close=True))
                    self._linger()
                    return
                request, keep_alive = item
                try:
                    response = await self._handle(request)
                finally:
                    self._server.bodies.give_back(len(request.body))
                close = not keep_alive or self._server.draining or (self._finished and not self._queue)
                self._write(response.encode(close=close, with_body=request.method != "HEAD"))
                if close:
                    self._close()
                    return
                await self._writable.wait()
        finally:
            self._task = None
            if not self._lingering:
                self._deadline = max(self._deadline, time.monotonic() + IDLE_TIMEOUT)
        if self._finished:
            self._close()

    async def _handle(self, request: Request) -> Response:
        try:
            return await self._server.handler(request)
        except Exception:  # noqa: BLE001 - see below
            # A bug must cost one answer, never the connection's others or the process.
            _log.exception("handler failed", path=request.path)
            return self._server.error_body(HTTPStatus.INTERNAL_SERVER_ERROR, "internal error, see the server's log")

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def _refuse(self, status: HTTPStatus, message: str) -> None:
        """Answer what came before, then this, then close: after a parse error the stream means nothing."""
        self._finished = True
        self._reading = False
        self._drop_body()
        self._queue.append(self._server.error_body(status, message))

    def _drop_body(self) -> None:
        """Let go of the body that was coming."""
        self._server.bodies.give_back(self._body_bytes)
        self._body, self._body_bytes = [], 0

    def _drop_queue(self) -> None:
        """Let go of requests that nobody waits for any more."""
        self._server.bodies.give_back(sum(len(item[0].body) for item in self._queue if isinstance(item, tuple)))
        self._queue.clear()

    def _busy(self) -> bool:
        return bool(self._queue) or self._task is not None

    def _pace(self) -> None:
        """Read only from a client that takes its answers and has not sent far ahead of them."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        if (self._finished and not self._lingering) or not self._writable.is_set() or len(self._queue) >= MAX_PIPELINED:
            if transport.is_reading():
                transport.pause_reading()
        elif not transport.is_reading():
            transport.resume_reading()

    def _linger(self) -> None:
        """Say that nothing more comes, and read on for a moment, until the client closes as well."""
        if self._transport is not None and not self._transport.is_closing():
            self._lingering = True
            self._deadline = time.monotonic() + LINGER_TIMEOUT
            self._transport.write_eof()
            self._pace()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    # The server's hands

    def close_when_idle(self) -> None:
        """Close now if no answer is due, else after it."""
        if not self._busy() and not self._reading:
            self._close()

    def check_deadline(self, now: float) -> None:
        """Cut the connection if it is past its deadline and not waiting for us."""
        waits_for_us = self._busy() and self._writable.is_set() and not self._reading
        if now > self._deadline and not waits_for_us:
            self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self._transport is not None:
            self._transport.abort()
