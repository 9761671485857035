from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from skerry_core.trust.certificate import IdentityReader
from skerry_core.trust.errors import Refusal, TrustError, refusing
from skerry_core.trust.policy import SignerIdentity

ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.8")
OLD_ISSUER = x509.ObjectIdentifier("1.3.6.1.4.1.57264.1.1")
EMAIL = x509.RFC822Name("ci@example.test")
URI = x509.UniformResourceIdentifier("https://ci.example.test/build@refs/heads/main")


def certificate(names, issuers):
    key = ec.generate_private_key(ec.SECP256R1())
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2026, 1, 1, tzinfo=UTC))
        .not_valid_after(datetime(2026, 1, 2, tzinfo=UTC))
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    for oid, value in issuers:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(key, hashes.SHA256())


GOOD_ISSUER = (ISSUER, asn1.encode_der("https://issuer.test"))


@pytest.mark.parametrize("name", [EMAIL, URI])
def test_subject_and_issuer_are_read(name):
    reader = IdentityReader()
    reader.verify(certificate([name], [GOOD_ISSUER]))
    assert reader.identity == SignerIdentity(subject=name.value, issuer="https://issuer.test")


@pytest.mark.parametrize(
    ("names", "issuers"),
    [
        ([], [GOOD_ISSUER]),
        ([EMAIL, URI], [GOOD_ISSUER]),
        ([EMAIL, EMAIL], [GOOD_ISSUER]),
        ([x509.DNSName("ci.example.test")], [GOOD_ISSUER]),
        ([EMAIL], []),
        ([EMAIL], [(OLD_ISSUER, b"https://issuer.test")]),
        ([EMAIL], [(ISSUER, b"https://issuer.test")]),
        ([EMAIL], [(ISSUER, asn1.encode_der(b"https://issuer.test"))]),
        ([EMAIL], [(ISSUER, asn1.encode_der(""))]),
        ([EMAIL], [(ISSUER, asn1.encode_der("i" * 513))]),
    ],
)
def test_an_ambiguous_or_missing_identity_is_refused(names, issuers):
    reader = IdentityReader()
    with (
        pytest.raises(TrustError) as caught,
        refusing(Refusal.SIGNATURE_INVALID, "the certificate"),
    ):
        reader.verify(certificate(names, issuers))
    assert caught.value.reason == Refusal.SIGNATURE_INVALID
    assert reader.identity is None
