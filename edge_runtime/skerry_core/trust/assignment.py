"""The envelope around an assignment: sealed by the hub key, opened at the site and again in the process that loads."""

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core.assignment.document import MAX_PAYLOAD_BYTES, PAYLOAD_TYPE, AssignmentDocument
from skerry_core.canonical import canonical_json
from skerry_core.trust import dsse
from skerry_core.trust.errors import Refusal, TrustError, refusing

MAX_ENVELOPE_BYTES = 12_288  # of SiteAssignment.spec.envelope: 8 KiB in base64, and room for signatures


def seal_assignment(document: AssignmentDocument, private_key_pem: bytes) -> str:
    """Sign an assignment; TrustError `EnvelopeTooLarge` if its canonical bytes exceed 8 KiB."""
    payload = canonical_json(document)
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise TrustError(
            Refusal.ENVELOPE_TOO_LARGE,
            f"the assignment of {document.site} has {len(payload)} bytes, allowed are {MAX_PAYLOAD_BYTES}: "
            f"assign fewer models, or models of fewer feature sets; {len(document.removals)} removals are in it",
        )
    return dsse.sign(payload, payload_type=PAYLOAD_TYPE, private_key_pem=private_key_pem).decode()


def open_assignment(envelope: str | bytes, hub_key_pem: bytes, *, site: str, last: Serial | None) -> AssignmentDocument:
    """Verify an assignment's envelope and return what it says.

    `last` is the newest serial that this reader has accepted (None before the first). The same serial opens again, as
    it must after a reboot; an older one never does.

    Raises TrustError `EnvelopeInvalid`, `WrongSite` or `SerialOlder`.
    """
    # (0)-(3) Size, form, type and signature.
    payload = dsse.verify(
        envelope,
        payload_type=PAYLOAD_TYPE,
        public_key_pem=hub_key_pem,
        max_bytes=MAX_ENVELOPE_BYTES,
    )
    # (4) The payload: a thief of the hub key can sign anything, so it is bounded and parsed like any hostile input.
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise TrustError(
            Refusal.ENVELOPE_INVALID, f"the assignment has {len(payload)} bytes, allowed are {MAX_PAYLOAD_BYTES}"
        )
    with refusing(Refusal.ENVELOPE_INVALID, "the signed assignment is malformed"):
        document = AssignmentDocument.model_validate_json(payload)
    # (5) For this site.
    if document.site != site:
        raise TrustError(Refusal.WRONG_SITE, f"the assignment is for site {document.site}, this is {site}")
    # (6) Not older than what was accepted before.
    if last is not None and document.serial.key() < last.key():
        raise TrustError(
            Refusal.SERIAL_OLDER,
            f"assignment {document.serial.key()} is older than {last.key()}, which was already accepted",
        )
    return document
