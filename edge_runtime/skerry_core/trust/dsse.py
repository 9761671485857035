"""Dead Simple Signing Envelope with ECDSA P-256 and SHA-256, for what the hub and the policy owner sign.

Source: https://github.com/secure-systems-lab/dsse/blob/v1.0.2/protocol.md
"""

import base64
from typing import Annotated

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from pydantic import Field

from skerry_api.v1alpha1.fields import ApiModel
from skerry_core.canonical import canonical_json
from skerry_core.trust import keys
from skerry_core.trust.errors import Refusal, TrustError, refusing

_ALGORITHM = ec.ECDSA(hashes.SHA256())


class EnvelopeSignature(ApiModel):
    # A hint, outside of what is signed: it helps a person find the key, and decides nothing.
    keyid: Annotated[str, Field(max_length=128)] = ""
    sig: Annotated[str, Field(max_length=256)]


class Envelope(ApiModel):
    payload: str
    payload_type: Annotated[str, Field(max_length=256)]
    signatures: Annotated[tuple[EnvelopeSignature, ...], Field(min_length=1, max_length=8)]


def pre_authentication_encoding(payload_type: str, payload: bytes) -> bytes:
    """PAE(type, body), the bytes that are signed: an envelope of one type never passes for another."""
    encoded_type = payload_type.encode()
    return b"DSSEv1 %d %b %d %b" % (len(encoded_type), encoded_type, len(payload), payload)


def sign(payload: bytes, *, payload_type: str, private_key_pem: bytes) -> bytes:
    """Put a payload and its signature into an envelope, as JSON."""
    key = keys.load_private_key(private_key_pem)
    signature = key.sign(pre_authentication_encoding(payload_type, payload), _ALGORITHM)
    entry = EnvelopeSignature(keyid=keys.keyid(key.public_key()), sig=base64.b64encode(signature).decode())
    return canonical_json(
        Envelope(payload=base64.b64encode(payload).decode(), payload_type=payload_type, signatures=(entry,))
    )


def verify(envelope: bytes | str, *, payload_type: str, public_key_pem: bytes, max_bytes: int) -> bytes:
    """Return the payload of an envelope that holds a signature by this key over this payload type.

    Raises TrustError `EnvelopeInvalid` otherwise, and for more than `max_bytes` before anything is parsed.
    """
    # (0) Bound the size.
    if len(envelope) > max_bytes:
        raise TrustError(Refusal.ENVELOPE_INVALID, f"the envelope is {len(envelope)} long, allowed are {max_bytes}")
    key = keys.load_public_key(public_key_pem)
    # (1) Parse.
    with refusing(Refusal.ENVELOPE_INVALID, "not a DSSE envelope"):
        # A string from JSON may hold lone surrogates, which pydantic refuses along with other malformed text.
        parsed = Envelope.model_validate_json(envelope)
        payload = base64.b64decode(parsed.payload, validate=True)
        signatures = [base64.b64decode(entry.sig, validate=True) for entry in parsed.signatures]
    # (2) The type that the caller expects, not the one that the envelope claims, goes into what is verified; the
    #     comparison is there for the message.
    if parsed.payload_type != payload_type:
        raise TrustError(Refusal.ENVELOPE_INVALID, f"the envelope holds {parsed.payload_type!r}, not {payload_type!r}")
    # (3) One signature by our key is enough: an owner who changes keys signs with both for a while.
    signed = pre_authentication_encoding(payload_type, payload)
    if not any(_is_signature(key, signature, signed) for signature in signatures):
        raise TrustError(
            Refusal.ENVELOPE_INVALID, f"the envelope is not signed by the trusted key, whose id is {keys.keyid(key)}"
        )
    return payload


def _is_signature(key: ec.EllipticCurvePublicKey, signature: bytes, signed: bytes) -> bool:
    try:
        key.verify(signature, signed, _ALGORITHM)
    except InvalidSignature:
        return False
    return True
