"""The certificate authority (Fulcio's part) and the CT log key whose promise is embedded in each certificate."""

import hashlib
import struct
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

LEAF_LIFETIME = timedelta(minutes=10)
_CA_LIFETIME = timedelta(days=3650)
_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
_ISSUER_V2 = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
_SCT_LIST = ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")


def spki(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def key_id(key: ec.EllipticCurvePublicKey) -> bytes:
    """RFC 6962, section 3.2: SHA-256 of the key in DER."""
    return hashlib.sha256(spki(key)).digest()


def make_root_certificate(key: ec.EllipticCurvePrivateKey, common_name: str) -> x509.Certificate:
    """A self-signed CA certificate, valid since yesterday for ten years."""
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, common_name),
        ]
    )
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(ca=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def _key_usage(*, ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )


@dataclass(frozen=True)
class Authority:
    """Issues ten-minute certificates for identities that an OIDC issuer vouched for."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate
    ct_key: ec.EllipticCurvePrivateKey

    def issue(self, public_key: ec.EllipticCurvePublicKey, *, subject: str, issuer: str) -> x509.Certificate:
        """A code-signing certificate for `subject` (email, or URI if it holds `://`), with its embedded SCT."""
        now = datetime.now(UTC).replace(microsecond=0)
        name: x509.GeneralName = (
            x509.UniformResourceIdentifier(subject) if "://" in subject else x509.RFC822Name(subject)
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(self.certificate.subject)
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + LEAF_LIFETIME)
            .add_extension(_key_usage(ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .add_extension(x509.SubjectAlternativeName([name]), critical=True)
            .add_extension(x509.UnrecognizedExtension(_ISSUER, issuer.encode()), critical=False)
            .add_extension(x509.UnrecognizedExtension(_ISSUER_V2, asn1.encode_der(issuer)), critical=False)
        )
        # The SCT covers the certificate without the SCT's own extension, so the same builder signs twice.
        precertificate = builder.sign(self.key, hashes.SHA256())
        scts = self._sct_list(precertificate.tbs_certificate_bytes, now)
        return builder.add_extension(x509.UnrecognizedExtension(_SCT_LIST, asn1.encode_der(scts)), critical=False).sign(
            self.key, hashes.SHA256()
        )

    def _sct_list(self, tbs_certificate: bytes, at: datetime) -> bytes:
        """RFC 6962, section 3.2 (digitally-signed struct, precert_entry) and 3.3 (SignedCertificateTimestampList)."""
        milliseconds = int(at.timestamp() * 1000)
        signed = b"".join(
            (
                struct.pack("!BBQH", 0, 0, milliseconds, 1),
                key_id(self.key.public_key()),
                len(tbs_certificate).to_bytes(3),
                tbs_certificate,
                struct.pack("!H", 0),
            )
        )
        signature = self.ct_key.sign(signed, ec.ECDSA(hashes.SHA256()))
        sha256, ecdsa = 4, 3
        sct = (
            struct.pack("!B32sQH", 0, key_id(self.ct_key.public_key()), milliseconds, 0)
            + struct.pack("!BBH", sha256, ecdsa, len(signature))
            + signature
        )
        serialized = struct.pack("!H", len(sct)) + sct
        return struct.pack("!H", len(serialized)) + serialized
