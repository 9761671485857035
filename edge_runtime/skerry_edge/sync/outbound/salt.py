"""The secret that hashes and samples are keyed with: one for all nodes of a site, and it never leaves the site."""

import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError

SALT_BYTES = 32


@dataclass(frozen=True)
class Salt:
    """Keys for each purpose, so that what one gives away tells nothing of another: HMAC-SHA256(salt, purpose)."""

    secret: bytes = field(repr=False)

    def key(self, purpose: str) -> bytes:
        """32 bytes."""
        return hmac.digest(self.secret, b"skerry/outbound/" + purpose.encode(), "sha256")


def load_salt(path: Path, site_salt: Path) -> Salt:
    """Read this node's copy; the first time, copy what the site gives, or make one where there is no site to ask.

    Raises OSError, or UserMustActError SaltDamaged: a salt of the wrong length is not replaced, since every hash sent
    so far was made with the right one.
    """
    try:
        secret = _checked(path)
    except FileNotFoundError:
        try:
            secret = _checked(site_salt)
        except FileNotFoundError:
            secret = secrets.token_bytes(SALT_BYTES)
        write_file(path, secret, mode=0o600)
    if path.stat().st_mode & 0o077:
        path.chmod(0o600)
    return Salt(secret)


def _checked(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) != SALT_BYTES:
        message = f"{path} is not {SALT_BYTES} bytes long: restore it, or remove it if hashes may change"
        raise UserMustActError("SaltDamaged", message)
    return secret
