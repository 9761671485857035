"""HTTP connections that count every byte of their heads and bodies, both ways, repeated requests included.

TLS isn't seen from here. Its handshake is counted by an estimate for each connection, since it is most of what a rare
small request costs; its records and TCP's heads, a few per cent, are not.
"""

import io
from http.client import HTTPResponse
from socket import socket
from typing import Any, Protocol

import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

# One full TLS 1.3 handshake with a chain of two certificates.
HANDSHAKE_SENT = 800
HANDSHAKE_RECEIVED = 4200
# So that who meters can spread what is sent over time.
_PIECE = 1 << 14


class Meter(Protocol):
    """Told of bytes in the thread that sends or receives them; it may take its time, and so slow them down."""

    def sent(self, size: int) -> None:
        """So many bytes have been handed to the network."""
        ...

    def received(self, size: int) -> None:
        """So many bytes have come."""
        ...


def count(manager: urllib3.PoolManager, meter: Meter) -> None:
    """Have `meter` told of all that connections carry which this manager makes from now on; not for SOCKS proxies."""
    manager.pool_classes_by_scheme = _pools(meter)


class MeteredPool(urllib3.PoolManager):
    """A PoolManager whose connections tell `meter`; None counts nothing."""

    def __init__(self, meter: Meter | None, **options: Any) -> None:
        super().__init__(**options)
        if meter is not None:
            count(self, meter)


def _pools(meter: Meter) -> dict[str, type[HTTPConnectionPool]]:
    class Response(HTTPResponse):
        def __init__(self, sock: socket, *args: Any, **options: Any) -> None:
            super().__init__(sock, *args, **options)
            # Counted below the buffer: what was read ahead has come, whether or not anybody asks for it.
            self.fp = io.BufferedReader(_Counted(self.fp.detach(), meter))

    class Connection(HTTPConnection):
        response_class = Response

        def send(self, data: Any) -> None:
            for piece in _pieces(data):
                super().send(piece)
                meter.sent(len(piece))

    class SecureConnection(HTTPSConnection):
        response_class = Response

        def connect(self) -> None:
            super().connect()
            meter.sent(HANDSHAKE_SENT)
            meter.received(HANDSHAKE_RECEIVED)

        def send(self, data: Any) -> None:
            for piece in _pieces(data):
                super().send(piece)
                meter.sent(len(piece))

    class Pool(HTTPConnectionPool):
        ConnectionCls = Connection

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = SecureConnection

    return {"http": Pool, "https": SecurePool}


def _pieces(data: Any) -> list[Any]:
    if not isinstance(data, bytes | bytearray | memoryview):
        raise TypeError(f"a request's body must be bytes to be counted, not {type(data).__name__}")
    view = memoryview(data)
    return [view[at : at + _PIECE] for at in range(0, len(view), _PIECE)]


class _Counted(io.RawIOBase):
    """Reads from a socket's raw stream."""

    def __init__(self, raw: Any, meter: Meter) -> None:
        super().__init__()
        self._raw = raw
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        count: int | None = self._raw.readinto(buffer)
        if count:
            self._meter.received(count)
        return count

    def fileno(self) -> int:
        return int(self._raw.fileno())

    def close(self) -> None:
        self._raw.close()
        super().close()
