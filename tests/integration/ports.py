"""Ports for servers that tests start."""

import secrets
import socket

# Below those that the kernel gives to whoever asks for any: a connection of another test would take one in between.
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """One that nobody listens on; tests that run beside each other hardly ever get the same."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("", port))
            except OSError:
                continue
        return port
