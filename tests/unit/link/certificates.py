"""A hub that signs certificate requests, over an in-memory API server."""

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SIGNING_REQUESTS

_CA_KEY = ec.generate_private_key(ec.SECP256R1())
_CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hub-ca")])


def issue(request_pem: bytes, born: datetime, life: timedelta, key=None) -> bytes:
    request = x509.load_pem_x509_csr(request_pem)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(request.subject)
        .issuer_name(_CA_NAME)
        .public_key((key or request).public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(born)
        .not_valid_after(born + life)
        .sign(_CA_KEY, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


class SigningHub(MemoryKube):
    """Answers waiting requests when told to."""

    def requests(self):
        return self.list(SIGNING_REQUESTS).items

    def approve(self, born=None, life=timedelta(days=90), key=None) -> None:
        for request in self.requests():
            pem = base64.b64decode(request["spec"]["request"])
            issued = issue(pem, born or datetime.now(UTC), life, key)
            self._answer(request, {"certificate": base64.b64encode(issued).decode()})

    def deny(self) -> None:
        for request in self.requests():
            condition = {"type": "Denied", "status": "True", "reason": "NotThisSite", "message": "wrong group"}
            self._answer(request, {"conditions": [condition]})

    def _answer(self, request, status) -> None:
        if not request.get("status"):
            self.replace(SIGNING_REQUESTS, {**request, "status": status}, "status")
