"""A private Sigstore test instance: own CA, CT key, transparency log and OIDC issuer behind loopback HTTP.

Its keys, certificates, signed timestamps and proofs are real and are verified by the code that verifies the public
instance's. It differs in trusting whoever asks for a token.
"""

from tests.sigstore_instance.instance import PrivateSigstore

__all__ = ["PrivateSigstore"]
