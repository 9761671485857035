"""Why something is not trusted: one error, its reasons, and the way in which other libraries' errors become it."""

import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from skerry_core.errors import UserMustActError

_CAUSE_LENGTH = 300  # a condition's message holds 1,024 characters; hostile input must not fill it


class Refusal(StrEnum):
    """Condition reasons of `TrustError`."""

    # A release
    SIGNATURE_INVALID = "SignatureInvalid"
    SIGNER_NOT_ALLOWED = "SignerNotAllowed"
    MODEL_NOT_LISTED = "ModelNotListed"
    VERSION_TOO_OLD = "VersionTooOld"
    DIGEST_DENIED = "DigestDenied"
    IDENTITY_DENIED = "IdentityDenied"
    MANIFEST_MISMATCH = "ManifestMismatch"
    MANIFEST_MALFORMED = "ManifestMalformed"
    # An assignment or a policy
    ENVELOPE_INVALID = "EnvelopeInvalid"
    ENVELOPE_TOO_LARGE = "EnvelopeTooLarge"
    WRONG_SITE = "WrongSite"
    SERIAL_OLDER = "SerialOlder"
    # What was installed to verify with
    KEY_INVALID = "KeyInvalid"
    TRUSTED_ROOT_INVALID = "TrustedRootInvalid"


class TrustError(UserMustActError):
    """Something is refused; trying again with the same bytes and the same policy gives the same answer."""

    def __init__(self, reason: Refusal, message: str) -> None:
        super().__init__(reason, message)


@contextmanager
def refusing(reason: Refusal, what: str) -> Iterator[None]:
    """Fail closed: whatever the block raises on hostile bytes becomes a TrustError with this reason.

    Parsers of certificates, JSON and proofs raise far more than they document. Running out of memory says nothing
    about the bytes, so that one error passes.
    """
    try:
        yield
    except (TrustError, MemoryError):
        raise
    except Exception as error:
        cause = textwrap.shorten(str(error) or type(error).__name__, _CAUSE_LENGTH, placeholder=" …")
        raise TrustError(reason, f"{what}: {cause}") from error
