"""The identity inside a Fulcio certificate.

Source: https://github.com/sigstore/fulcio/blob/main/docs/certificate-specification.md and docs/oid-info.md
"""

from cryptography.hazmat import asn1
from cryptography.x509 import (
    Certificate,
    ObjectIdentifier,
    RFC822Name,
    SubjectAlternativeName,
    UniformResourceIdentifier,
    UnrecognizedExtension,
)
from sigstore.errors import VerificationError

from skerry_core.trust.policy import SignerIdentity

_ISSUER = ObjectIdentifier("1.3.6.1.4.1.57264.1.8")  # a DER UTF8String; 1.3.6.1.4.1.57264.1.1 is deprecated


class IdentityReader:
    """A sigstore VerificationPolicy that allows everybody and remembers who it was.

    Who may sign what is decided afterwards (`skerry_core.trust.identity`), so that "this signature is broken" and
    "this signer may not" stay two different answers.
    """

    def __init__(self) -> None:
        self.identity: SignerIdentity | None = None

    def verify(self, cert: Certificate) -> None:
        """Read the one email or URI, and the issuer that vouched for it; VerificationError if that isn't there."""
        names = list(cert.extensions.get_extension_for_class(SubjectAlternativeName).value)
        if len(names) != 1 or not isinstance(names[0], RFC822Name | UniformResourceIdentifier):
            raise VerificationError("the certificate must name exactly one email or URI")
        issuer = cert.extensions.get_extension_for_oid(_ISSUER).value
        if not isinstance(issuer, UnrecognizedExtension):
            raise VerificationError("the certificate's issuer extension can't be read")
        self.identity = SignerIdentity(subject=names[0].value, issuer=asn1.decode_der(str, issuer.value))
