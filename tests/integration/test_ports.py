"""A port that a test was given stays its own."""

import socket
from contextlib import closing
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.integration.ports import free_port


def test_a_server_starts_there_again_and_again():
    port = free_port()
    for address in ("127.0.0.1", "", "127.0.0.1"):
        HTTPServer((address, port), BaseHTTPRequestHandler).server_close()


def test_nothing_answers_there_before():
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", free_port()), timeout=5)


@pytest.mark.parametrize("address", ["", "127.0.0.1"])
def test_nobody_else_gets_it(address):
    port = free_port()
    with closing(socket.socket()) as other, pytest.raises(OSError, match="in use"):
        other.bind((address, port))


def test_where_a_server_listens_no_second_one_starts():
    port = free_port()
    with HTTPServer(("127.0.0.1", port), BaseHTTPRequestHandler), pytest.raises(OSError, match="in use"):
        HTTPServer(("", port), BaseHTTPRequestHandler)
