"""How ingest refuses: a whole request, or one event of it."""

from dataclasses import dataclass
from http import HTTPStatus


class RefusedError(Exception):
    """A request is refused as a whole; `retry_after` is in seconds, None where trying again changes nothing."""

    def __init__(self, status: HTTPStatus, reason: str, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after = retry_after


class MalformedError(Exception):
    """One event is not what it must be; `reason` is one CamelCase word, `str()` says what is wrong."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Malformed:
    """An event that is refused for what it is: why, and its bytes as they came."""

    reason: str
    message: str
    original: bytes
