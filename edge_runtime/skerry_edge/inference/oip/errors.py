"""What a client is told when it gets no prediction."""

from http import HTTPStatus


class ProtocolError(Exception):
    """An answer other than 200; `str()` is the `error` of its body."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


def bad_request(message: str) -> ProtocolError:
    """The client has to change its request."""
    return ProtocolError(HTTPStatus.BAD_REQUEST, message)
