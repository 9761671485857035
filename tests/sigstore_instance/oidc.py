"""The OIDC issuer: it vouches for whoever asks, and knows its own signature again."""

import time
from dataclasses import dataclass
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

AUDIENCE = "sigstore"
_LIFETIME = 600  # seconds


class TokenRefusedError(Exception):
    """The token is not by this issuer, not for this audience, or has expired."""


@dataclass(frozen=True)
class Issuer:
    """Issues and checks ES256 identity tokens."""

    url: str
    key: ec.EllipticCurvePrivateKey

    def token(self, subject: str) -> str:
        """A token that lets `subject` (an email, or the URI of a workflow) sign within the next ten minutes."""
        now = int(time.time())
        claims = {"iss": self.url, "aud": AUDIENCE, "sub": subject, "iat": now, "nbf": now, "exp": now + _LIFETIME}
        return jwt.encode(claims, self.key, algorithm="ES256")

    def subject(self, token: str) -> str:
        """The subject of a token of ours; TokenRefusedError for any other."""
        try:
            claims: dict[str, Any] = jwt.decode(
                token, self.key.public_key(), algorithms=["ES256"], audience=AUDIENCE, issuer=self.url
            )
        except jwt.InvalidTokenError as error:
            raise TokenRefusedError(str(error)) from error
        return str(claims["sub"])
