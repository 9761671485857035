"""Ports for servers that tests start."""

import secrets
import socket
from collections import deque

# Below those that the kernel gives to whoever asks for any.
_PORTS = range(20_000, 32_000)
_MAX_HELD = 64
_held: deque[socket.socket] = deque()


def free_port() -> int:
    """One that nobody listens on, and that only who is told of it gets, as often as it starts there.

    This process keeps it bound, so neither another test's server nor a connection can take it before the server is
    there, or while it is started anew. It isn't listened on, and servers set SO_REUSEADDR: those may bind it besides.
    It is let go after _MAX_HELD others.
    """
    while True:
        port = secrets.choice(_PORTS)
        holder = socket.socket()
        try:
            holder.bind(("", port))
        except OSError:
            holder.close()
            continue
        # Not before: it would have let the port be bound that another test holds.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _held.append(holder)
        if len(_held) > _MAX_HELD:
            _held.popleft().close()
        return port
