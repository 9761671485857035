"""The site's credential for its hub: a P-256 key and a client certificate, kept in the Secret `hub-credential`."""

import base64
from dataclasses import dataclass, replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from skerry_core.errors import WaitError
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import SECRETS
from skerry_operator.link.renewal import Validity
from skerry_operator.site.names import HUB_CREDENTIAL

_KEY = "tls.key"
_CERTIFICATE = "tls.crt"
_NEXT_KEY = "next.key"


@dataclass(frozen=True)
class Credential:
    """PEM texts; `next_key` is the key of a request under way, so that a restart asks for no second certificate."""

    key: bytes = b""
    certificate: bytes = b""
    next_key: bytes = b""

    @property
    def validity(self) -> Validity | None:
        """When the certificate holds; None without one that can be read."""
        try:
            leaf = x509.load_pem_x509_certificate(self.certificate)
        except ValueError:
            return None
        return Validity(leaf.not_valid_before_utc, leaf.not_valid_after_utc)

    def issued(self, certificate: bytes) -> "Credential":
        """The credential with the certificate that was asked for; WaitError if it isn't for that key."""
        try:
            issued_to = x509.load_pem_x509_certificate(certificate).public_key()
        except ValueError as error:
            raise WaitError("CertificateUnusable", f"what the hub issued is no certificate: {error}") from error
        own = load_pem_private_key(self.next_key, password=None).public_key()
        if _der(issued_to) != _der(own):
            raise WaitError("CertificateUnusable", "the hub issued a certificate for another key; asking again")
        return Credential(key=self.next_key, certificate=certificate)

    def with_next_key(self) -> "Credential":
        """The credential with a key to ask for the next certificate with."""
        return self if self.next_key else replace(self, next_key=new_key())


def new_key() -> bytes:
    """A fresh P-256 private key, PEM (PKCS #8)."""
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


class CredentialSecret:
    """The Secret that holds the credential, in the site operator's own namespace."""

    def __init__(self, kube: KubeApi, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace

    def load(self) -> Credential:
        """Read the credential; an empty one if there is no Secret."""
        secret = self._kube.get(SECRETS, HUB_CREDENTIAL, self._namespace) or {}
        data = {name: base64.b64decode(value) for name, value in (secret.get("data") or {}).items()}
        return Credential(data.get(_KEY, b""), data.get(_CERTIFICATE, b""), data.get(_NEXT_KEY, b""))

    def save(self, credential: Credential) -> None:
        """Write the credential whole."""
        content = {_KEY: credential.key, _CERTIFICATE: credential.certificate, _NEXT_KEY: credential.next_key}
        self._kube.apply(
            SECRETS,
            {
                "metadata": {"name": HUB_CREDENTIAL, "namespace": self._namespace},
                "type": "Opaque",
                "data": {name: base64.b64encode(value).decode() for name, value in content.items()},
            },
        )


def _der(key: object) -> bytes:
    if not isinstance(key, ec.EllipticCurvePublicKey):
        return b""
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
