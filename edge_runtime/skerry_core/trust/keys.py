"""ECDSA P-256 keys in PEM: the hub key that signs assignments, and the policy key that signs trust policies."""

import hashlib
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from skerry_core.trust.errors import Refusal, TrustError, refusing


class KeyPair(NamedTuple):
    """PEM bytes: PKCS#8 without a passphrase, and SubjectPublicKeyInfo."""

    private_pem: bytes
    public_pem: bytes


def generate_key_pair() -> KeyPair:
    """Make a new P-256 key."""
    private = ec.generate_private_key(ec.SECP256R1())
    return KeyPair(
        private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
    )


def load_private_key(pem: bytes) -> ec.EllipticCurvePrivateKey:
    """Read an unencrypted PEM private key; TrustError `KeyInvalid` if it isn't one on P-256."""
    with refusing(Refusal.KEY_INVALID, "the private key can't be read; expected an unencrypted PEM key on P-256"):
        key = load_pem_private_key(pem, password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError(Refusal.KEY_INVALID, "the private key is not an ECDSA key on P-256")
    return key


def load_public_key(pem: bytes) -> ec.EllipticCurvePublicKey:
    """Read a PEM public key; TrustError `KeyInvalid` if it isn't one on P-256."""
    with refusing(Refusal.KEY_INVALID, "the public key can't be read; expected a PEM key on P-256"):
        key = load_pem_public_key(pem)
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TrustError(Refusal.KEY_INVALID, "the public key is not an ECDSA key on P-256")
    return key


def keyid(key: ec.EllipticCurvePublicKey) -> str:
    """SHA-256 of the key's SubjectPublicKeyInfo in DER, as 64 hex digits."""
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()
