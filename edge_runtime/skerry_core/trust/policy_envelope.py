"""The envelope around a trust policy: sealed by its owner's offline key, opened wherever a signature is judged."""

from skerry_core.canonical import canonical_json
from skerry_core.trust import dsse
from skerry_core.trust.errors import Refusal, TrustError, refusing
from skerry_core.trust.policy import PAYLOAD_TYPE, PolicyDocument

MAX_ENVELOPE_BYTES = 65_536  # of TrustPolicy.spec.envelope


def seal_policy(document: PolicyDocument, private_key_pem: bytes) -> str:
    """Sign a policy; TrustError `EnvelopeTooLarge` if the envelope exceeds 64 KiB."""
    envelope = dsse.sign(canonical_json(document), payload_type=PAYLOAD_TYPE, private_key_pem=private_key_pem)
    if len(envelope) > MAX_ENVELOPE_BYTES:
        raise TrustError(
            Refusal.ENVELOPE_TOO_LARGE,
            f"the signed policy has {len(envelope)} bytes, allowed are {MAX_ENVELOPE_BYTES}: "
            "join bindings by globs, or drop denied digests that a minimum version covers",
        )
    return envelope.decode()


def open_policy(envelope: str | bytes, policy_key_pem: bytes, *, last_serial: int | None) -> PolicyDocument:
    """Verify a policy's envelope and return what it says.

    `last_serial` is the newest serial that this reader has accepted (None before the first); the same one opens again.

    Raises TrustError `EnvelopeInvalid` or `SerialOlder`.
    """
    # (0)-(3) Size, form, type and signature.
    payload = dsse.verify(
        envelope,
        payload_type=PAYLOAD_TYPE,
        public_key_pem=policy_key_pem,
        max_bytes=MAX_ENVELOPE_BYTES,
    )
    # (4) The payload.
    with refusing(Refusal.ENVELOPE_INVALID, "the signed trust policy is malformed"):
        document = PolicyDocument.model_validate_json(payload)
    # (5) Not older than what was accepted before.
    if last_serial is not None and document.serial < last_serial:
        raise TrustError(
            Refusal.SERIAL_OLDER,
            f"trust policy {document.serial} is older than {last_serial}, which was already accepted",
        )
    return document
