"""The HTTP server against raw sockets: what clients may do to it, and what they get."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from typing import Any

import pytest
import uvloop

from skerry_edge.http import server as http_server
from skerry_edge.http.message import Request, Response
from skerry_edge.http.server import BodyBudget, HttpServer


def error_body(status: HTTPStatus, message: str) -> Response:
    headers = {"retry-after": "1"} if status is HTTPStatus.SERVICE_UNAVAILABLE else {}
    return Response(status, message.encode(), "text/plain", headers)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def response(self, *, head: bool = False) -> tuple[int, dict[str, str], bytes]:
        top = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 5)
        first, *lines = top.decode().rstrip().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines)
        size = 0 if head else int(headers.get("content-length", 0))
        return int(first.split()[1]), headers, await asyncio.wait_for(self.reader.readexactly(size), 5)

    async def closed(self) -> bool:
        return await asyncio.wait_for(self.reader.read(1), 5) == b""


async def echo(request: Request) -> Response:
    if request.path == "/bug":
        raise RuntimeError("a bug")
    if request.path == "/large":
        return Response(HTTPStatus.OK, b"x" * (8 << 20))
    return Response(HTTPStatus.OK, f"{request.method} {request.path} ".encode() + request.body, "text/plain")


def run(
    test: Callable[[HttpServer, Callable[[], Coroutine[Any, Any, Client]]], Coroutine[Any, Any, None]],
    handler=echo,
    bodies=None,
    **options,
):
    async def body() -> None:
        server = HttpServer(handler, error_body, bodies or BodyBudget(), **options)
        port = await server.start("127.0.0.1", 0)
        clients: list[Client] = []

        async def connect() -> Client:
            clients.append(Client(*await asyncio.open_connection("127.0.0.1", port)))
            return clients[-1]

        try:
            await asyncio.wait_for(test(server, connect), 20)
        finally:
            await server.stop(0)
            for client in clients:
                client.writer.close()

    uvloop.run(body())


def test_requests_on_one_connection():
    async def test(server, connect):
        client = await connect()
        await client.send(b"GET /a?x=1 HTTP/1.1\r\nhost: h\r\n\r\n")
        assert await client.response() == (
            200,
            {"content-type": "text/plain", "content-length": "7", "connection": "keep-alive"},
            b"GET /a ",
        )
        await client.send(b"POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 3\r\n\r\nabc")
        assert (await client.response())[2] == b"POST /b abc"
        await client.send(
            b"POST /c HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
        )
        assert (await client.response())[2] == b"POST /c abc"
        await client.send(b"HEAD /d HTTP/1.1\r\nhost: h\r\n\r\n")
        status, headers, nothing = await client.response(head=True)
        assert (status, headers["content-length"], nothing) == (200, "8", b"")
        await client.send(b"GET /e HTTP/1.0\r\n\r\n")
        assert (await client.response())[1]["connection"] == "close"
        assert await client.closed()

    run(test)


def test_pipelined_requests_are_answered_in_order_however_long_each_takes():
    async def slower_first(request: Request) -> Response:
        for _ in range(50 - int(request.path[1:])):
            await asyncio.sleep(0)
        return Response(HTTPStatus.OK, request.path.encode())

    async def test(server, connect):
        client = await connect()
        await client.send(b"".join(b"GET /%d HTTP/1.1\r\nhost: h\r\n\r\n" % n for n in range(50)))
        assert [(await client.response())[2] for _ in range(50)] == [b"/%d" % n for n in range(50)]

    run(test, slower_first)


def test_a_request_in_single_bytes():
    async def test(server, connect):
        client = await connect()
        for byte in b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 2\r\n\r\nhi":
            await client.send(bytes([byte]))
        assert (await client.response())[2] == b"POST /a hi"

    run(test)


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n", 413),
        (b"GET / HTTP/1.1\r\nx: " + b"y" * 20_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"y" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
    ],
)
def test_what_breaks_a_bound_is_refused_and_closed(sent, status):
    async def test(server, connect):
        client = await connect()
        await client.send(b"GET /before HTTP/1.1\r\nhost: h\r\n\r\n" + sent)
        assert (await client.response())[2] == b"GET /before "
        found, headers, _ = await client.response()
        assert (found, headers["connection"]) == (status, "close")
        assert await client.closed()

    run(test)


def test_an_endless_header_is_cut_while_it_comes():
    async def test(server, connect):
        client = await connect()
        await client.send(b"GET / HTTP/1.1\r\nx: ")
        sent = 0
        with suppress(ConnectionError):
            while not client.reader.at_eof() and sent < 32 << 20:
                await client.send(b"y" * 4096)
                sent += 4096
                await asyncio.sleep(0)
        assert sent < 32 << 20

    run(test)


def test_an_endless_chunked_body_is_cut():
    async def test(server, connect):
        client = await connect()
        await client.send(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
        await client.send(b"400\r\n" + b"x" * 1024 + b"\r\n")
        assert (await client.response())[0] == 413
        assert await client.closed()

    run(test, max_body=1000)


def test_a_refusal_reaches_a_client_that_sends_all_the_same():
    async def test(server, connect):
        client = await connect()
        gone = asyncio.Event()
        lose = server.forget
        server.forget = lambda connection: (lose(connection), gone.set())
        await client.send(b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 1000000\r\n\r\n")
        for _ in range(100):
            await client.send(b"x" * 10_000)
        assert (await client.response())[0] == 413
        assert await client.closed()
        client.writer.close()
        await gone.wait()

    run(test, max_body=1000)


def test_a_refused_client_that_never_ends_is_cut(monkeypatch):
    monkeypatch.setattr(http_server, "LINGER_TIMEOUT", 0.05)
    monkeypatch.setattr(http_server, "_SWEEP_INTERVAL", 0.02)

    async def test(server, connect):
        client = await connect()
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.response())[0] == 400
        with suppress(ConnectionError):
            while server.connections:
                await client.send(b"x")
                await asyncio.sleep(0)

    run(test)


def test_a_refused_client_that_sends_too_much_is_cut(monkeypatch):
    monkeypatch.setattr(http_server, "LINGER_BYTES", 100_000)

    async def test(server, connect):
        client = await connect()
        await client.send(b"nonsense\r\n\r\n")
        with suppress(ConnectionError):
            while server.connections:
                await client.send(b"x" * 10_000)
                await asyncio.sleep(0)

    run(test)


def post(size: int) -> bytes:
    return b"POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: %d\r\n\r\n" % size


class WatchedBudget(BodyBudget):
    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.taken, self.emptied = asyncio.Event(), asyncio.Event()

    def take(self, size: int) -> None:
        super().take(size)
        self.taken.set()

    def give_back(self, size: int) -> None:
        super().give_back(size)
        if not self.held:
            self.emptied.set()


def test_bodies_of_all_connections_share_one_budget():
    bodies = BodyBudget(1000)
    release, begun = asyncio.Event(), asyncio.Event()

    async def waiting(request: Request) -> Response:
        begun.set()
        await release.wait()
        return await echo(request)

    async def test(server, connect):
        busy, announced, chunked, small = [await connect() for _ in range(4)]
        await busy.send(post(600) + b"x" * 600)
        await begun.wait()
        await announced.send(post(500))
        await chunked.send(b"POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n")
        await chunked.send(b"100\r\n" + b"x" * 256 + b"\r\n" + b"100\r\n" + b"x" * 256 + b"\r\n")
        for refused in (announced, chunked):
            status, headers, _ = await refused.response()
            assert (status, headers["retry-after"]) == (503, "1")
            assert await refused.closed()
        await small.send(post(300) + b"y" * 300)
        release.set()
        assert [(await client.response())[0] for client in (busy, small)] == [200, 200]
        assert bodies.held == 0

    run(test, waiting, bodies)


@pytest.mark.parametrize(
    "sent", [post(900) + b"x" * 500, (post(200) + b"x" * 200) * 3, post(200) + b"x" * 200 + b"nonsense\r\n\r\n"]
)
def test_what_a_lost_client_had_sent_is_given_back(sent):
    bodies = WatchedBudget(1000)
    release = asyncio.Event()

    async def waiting(request: Request) -> Response:
        await release.wait()
        return await echo(request)

    async def test(server, connect):
        lost, next_one = await connect(), await connect()
        await lost.send(sent)
        await bodies.taken.wait()
        lost.writer.transport.abort()
        release.set()
        await bodies.emptied.wait()
        await next_one.send(post(1000) + b"x" * 1000)
        assert (await next_one.response())[0] == 200

    run(test, waiting, bodies)


def test_expect_continue():
    async def test(server, connect):
        client = await connect()
        await client.send(b"POST /a HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\n")
        assert (await client.response(head=True))[0] == 100
        await client.send(b"hi")
        assert (await client.response())[2] == b"POST /a hi"

    run(test)


def test_a_bug_costs_one_answer():
    async def test(server, connect):
        client = await connect()
        await client.send(b"GET /bug HTTP/1.1\r\nhost: h\r\n\r\nGET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        assert (await client.response())[0] == 500
        assert (await client.response())[0] == 200

    run(test)


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\ncontent-length: 9\r\n\r\nabc"])
def test_silent_clients_are_cut(monkeypatch, begun):
    monkeypatch.setattr(http_server, "IDLE_TIMEOUT", 0.05)
    monkeypatch.setattr(http_server, "REQUEST_TIMEOUT", 0.05)
    monkeypatch.setattr(http_server, "_SWEEP_INTERVAL", 0.02)

    async def test(server, connect):
        client = await connect()
        await client.send(begun)
        with suppress(ConnectionResetError):
            assert await client.closed()
        assert not server.connections

    run(test)


def test_a_client_that_does_not_read_is_cut_and_its_next_requests_wait(monkeypatch):
    monkeypatch.setattr(http_server, "WRITE_TIMEOUT", 0.2)
    monkeypatch.setattr(http_server, "_SWEEP_INTERVAL", 0.02)
    handled = []
    gone = asyncio.Event()

    async def counting(request: Request) -> Response:
        handled.append(request.path)
        return await echo(request)

    async def test(server, connect):
        client = await connect()
        lose = server.forget
        server.forget = lambda connection: (lose(connection), gone.set())
        client.writer.transport.pause_reading()
        await client.send(b"GET /large HTTP/1.1\r\nhost: h\r\n\r\n" * 30)
        await gone.wait()
        assert 0 < len(handled) < 5

    run(test, counting)


def test_stopping_lets_requests_finish_and_closes_idle_connections():
    release, begun = asyncio.Event(), asyncio.Event()

    async def waiting(request: Request) -> Response:
        if request.path == "/wait":
            begun.set()
            await release.wait()
        return await echo(request)

    async def test(server, connect):
        idle, busy = await connect(), await connect()
        await idle.send(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        await idle.response()
        await busy.send(b"GET /wait HTTP/1.1\r\nhost: h\r\n\r\n")
        await begun.wait()
        stopping = asyncio.create_task(server.stop(5))
        assert await idle.closed()
        assert not stopping.done()
        with pytest.raises(OSError, match=r"refused|reset|Connect"):
            await connect()
        release.set()
        status, headers, _ = await busy.response()
        assert (status, headers["connection"]) == (200, "close")
        await stopping

    run(test, waiting)


def test_a_half_closed_client_gets_its_answer():
    async def test(server, connect):
        client = await connect()
        await client.send(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        client.writer.write_eof()
        assert (await client.response())[2] == b"GET /a "
        assert await client.closed()

    run(test)


def test_too_many_connections(monkeypatch):
    monkeypatch.setattr(http_server, "MAX_CONNECTIONS", 1)

    async def test(server, connect):
        first = await connect()
        await first.send(b"GET /a HTTP/1.1\r\nhost: h\r\n\r\n")
        await first.response()
        assert await (await connect()).closed()

    run(test)
