"""Errors whose class is their retry policy: the user must act, wait for a cause outside, or try again."""


class SkerryError(Exception):
    """Base of all expected errors; `reason` is a CamelCase condition reason, `str()` says what to do."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UserMustActError(SkerryError):
    """Retrying changes nothing until somebody changes the input: the object is Stalled."""


class WaitError(SkerryError):
    """A cause outside must go away first (store down, disk full, not approved yet): retried with patience."""


class RetryError(SkerryError):
    """A passing fault (conflict, reset connection): retried soon."""
