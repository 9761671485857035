"""Asking the hub for a client certificate, by a CertificateSigningRequest that a person's consent lets through."""

import base64
import hashlib
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509.oid import NameOID

from skerry_core.errors import UserMustActError, WaitError
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import SIGNING_REQUESTS

SIGNER = "kubernetes.io/kube-apiserver-client"
ORGANIZATION = "skerry:sites"
# Long enough that a site which is away for weeks comes back with a valid certificate; the hub's signer may shorten it.
LIFETIME = timedelta(days=90)


class RequestDeniedError(UserMustActError):
    """The hub refused this request for good; the next one needs a new key."""


def common_name(site: str) -> str:
    """The user that a site is at its hub."""
    return f"skerry:site:{site}"


def signing_request(site: str, key_pem: bytes) -> bytes:
    """The PKCS #10 request, PEM."""
    key = _private(key_pem)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, ORGANIZATION),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name(site)),
        ]
    )
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)


def request_certificate(hub: KubeApi, *, site: str, key_pem: bytes, lifetime: timedelta = LIFETIME) -> bytes:
    """Ask for a certificate for this key, or look after an earlier request for it; the certificate chain, PEM.

    The request's name follows from the key, so that asking twice is asking once. Raises WaitError `SiteNotAccepted`
    until the hub has issued it, RequestDeniedError if it won't, and what `hub` raises when it can't be reached.
    """
    name = f"skerry-{site}-{_fingerprint(key_pem)}"
    request = hub.get(SIGNING_REQUESTS, name) or hub.create(
        SIGNING_REQUESTS,
        {
            "apiVersion": SIGNING_REQUESTS.api_version,
            "kind": SIGNING_REQUESTS.kind,
            "metadata": {"name": name},
            "spec": {
                "signerName": SIGNER,
                "usages": ["client auth"],
                "expirationSeconds": int(lifetime.total_seconds()),
                "request": base64.b64encode(signing_request(site, key_pem)).decode(),
            },
        },
    )
    return _issued(request, site)


def _issued(request: dict[str, Any], site: str) -> bytes:
    status = request.get("status") or {}
    if certificate := status.get("certificate"):
        return base64.b64decode(certificate)
    for condition in status.get("conditions") or ():
        if condition["type"] in ("Denied", "Failed"):
            raise RequestDeniedError(
                "EnrollmentDenied",
                f"the hub refused this site's certificate request ({condition.get('reason', '')}: "
                f"{condition.get('message', '')}); check EdgeSite {site} and whose bootstrap token this is",
            )
    raise WaitError(
        "SiteNotAccepted",
        f"waiting for the hub to accept this site: set spec.hubAcceptsClient to true on EdgeSite {site} at the hub",
    )


def _private(key_pem: bytes) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(key_pem, password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _fingerprint(key_pem: bytes) -> str:
    public = _private(key_pem).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(public).hexdigest()[:12]
