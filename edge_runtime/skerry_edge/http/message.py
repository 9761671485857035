"""HTTP requests and responses as the handlers see them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus

JSON = "application/json"


@dataclass(frozen=True)
class Request:
    """A whole request: `path` without the query, undecoded; header names in lower case; `client` the peer's address."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    client: str = ""


@dataclass(frozen=True)
class Response:
    status: HTTPStatus
    body: bytes = b""
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)

    def encode(self, *, close: bool, with_body: bool = True) -> bytes:
        """The bytes on the wire, for HTTP/1.1."""
        lines = [
            f"HTTP/1.1 {self.status.value} {self.status.phrase}",
            f"content-type: {self.content_type}",
            f"content-length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers.items()),
            f"connection: {'close' if close else 'keep-alive'}",
        ]
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        return head + self.body if with_body else head


# Runs in the event loop: whatever takes longer than a lookup is awaited from a worker thread.
Handler = Callable[[Request], Awaitable[Response]]
ErrorBody = Callable[[HTTPStatus, str], Response]
