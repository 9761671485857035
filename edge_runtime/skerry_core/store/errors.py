"""What can go wrong with a store, each with its retry policy (see `skerry_core.errors`)."""

from skerry_core.errors import UserMustActError, WaitError

# S3's codes for credentials that don't count, beyond every 401 and 403: AWS answers 400 to two of them, versitygw 404
# to an unknown access key.
REFUSED_CODES = frozenset({"AuthorizationHeaderMalformed", "ExpiredToken", "InvalidToken", "XAdminUserNotFound"})


class ObjectMissingError(WaitError):
    """The store answers and does not have the object (yet)."""

    def __init__(self, key: str) -> None:
        super().__init__("ObjectMissing", f"the store has no {key}")


class StoreUnavailableError(WaitError):
    """No usable answer: unreachable, timed out, cut off, 5xx, disk gone."""

    def __init__(self, message: str) -> None:
        super().__init__("StoreUnavailable", message)


class StoreAnswersWithPageError(WaitError):
    """Something between us and the store (a login page, a captive portal, a proxy) answered in its place."""

    def __init__(self, address: str, what: str) -> None:
        super().__init__(
            "StoreAnswersWithPage",
            f"{address} answers with {what} instead of S3: let the store's address through the proxy, or log in to it",
        )


class StoreFullError(WaitError):
    """The folder's file system has no room."""

    def __init__(self, message: str) -> None:
        super().__init__("StoreFull", message)


class StoreCredentialsRefusedError(UserMustActError):
    """The store knows these credentials, or their rights, not."""

    def __init__(self, message: str) -> None:
        super().__init__("StoreCredentialsRefused", message)


class StoreBucketMissingError(UserMustActError):
    """The store answers and has no such bucket."""

    def __init__(self, address: str, bucket: str) -> None:
        super().__init__("StoreBucketMissing", f"{address} has no bucket {bucket!r}: create it or correct the address")


class StoreRefusedError(UserMustActError):
    """The store understood the request and won't do it."""

    def __init__(self, message: str) -> None:
        super().__init__("StoreRefused", message)


class StoreAddressInvalidError(UserMustActError):
    """A URI, endpoint or key that can't name anything in a store."""

    def __init__(self, message: str) -> None:
        super().__init__("StoreAddressInvalid", message)


class DigestMismatchError(UserMustActError):
    """Bytes are not those that their digest names: damaged or tampered with; fetching again won't help."""

    def __init__(self, message: str) -> None:
        super().__init__("DigestMismatch", message)


class GrantExpiredError(WaitError):
    """The grant's time is over; the link brings the next one."""

    def __init__(self, message: str) -> None:
        super().__init__("GrantExpired", message)


class GrantRefusedError(WaitError):
    """The store refuses a grant that isn't expired: the hub's own credentials changed, or a clock is wrong."""

    def __init__(self, message: str) -> None:
        super().__init__("GrantRefused", message)
