"""The Kubernetes API's failures as ours: the class says whether to wait, to retry soon, or that a person must act."""

from http import HTTPStatus
from typing import Any

from skerry_core.errors import RetryError, SkerryError, UserMustActError, WaitError


class ConflictError(RetryError):
    """Somebody else wrote first, or the object is there already: read again, decide again."""


class GoneError(RetryError):
    """The watch's resource version is too old: list again."""


class InvalidObjectError(UserMustActError):
    """The API server's schema, or an admission policy, refuses the object as it is."""


class ForbiddenError(WaitError):
    """Not allowed: wrong or expired credential, or a missing RBAC rule."""


class NotServedError(WaitError):
    """The namespace or the kind itself isn't there (yet)."""


class UnavailableError(WaitError):
    """The API server doesn't answer, or something that isn't one does."""


# The reason of a ForbiddenError that refuses the credential itself, not only what was asked with it.
UNAUTHORIZED = "Unauthorized"

_CLASSES: dict[int, tuple[type[SkerryError], str]] = {
    HTTPStatus.BAD_REQUEST: (InvalidObjectError, "Invalid"),
    HTTPStatus.UNAUTHORIZED: (ForbiddenError, UNAUTHORIZED),
    HTTPStatus.FORBIDDEN: (ForbiddenError, "Forbidden"),
    HTTPStatus.NOT_FOUND: (NotServedError, "NotFound"),
    HTTPStatus.CONFLICT: (ConflictError, "Conflict"),
    HTTPStatus.GONE: (GoneError, "Expired"),
    HTTPStatus.UNPROCESSABLE_ENTITY: (InvalidObjectError, "Invalid"),
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: (InvalidObjectError, "TooLarge"),
    HTTPStatus.TOO_MANY_REQUESTS: (RetryError, "TooManyRequests"),
}


def of_status(code: int, document: Any, request: str) -> SkerryError:
    """The error for an answer that isn't 2xx; `document` is its parsed body (a Kubernetes Status, as a rule)."""
    status = document if isinstance(document, dict) else {}
    message = f"{request}: {status.get('message') or f'HTTP {code}'}"
    if code in _CLASSES:
        kind, reason = _CLASSES[code]
        return kind(reason, message)
    return UnavailableError("ApiUnavailable", message)
