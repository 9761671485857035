"""A key pair in files that are read for every request.

A Secret that Kubernetes mounts changes in place: a key pair that is replaced there counts without a restart.
"""

from pathlib import Path

from minio.credentials.credentials import Credentials
from minio.credentials.providers import Provider

from skerry_core.store.errors import StoreCredentialsRefusedError

ACCESS_KEY_FILE, SECRET_KEY_FILE = "accessKey", "secretKey"


class KeyFolder(Provider):
    """Reads `accessKey` and `secretKey` of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def retrieve(self) -> Credentials:
        """Read the pair as it is now; StoreCredentialsRefusedError if there is none."""
        return Credentials(self._read(ACCESS_KEY_FILE), self._read(SECRET_KEY_FILE))

    def _read(self, name: str) -> str:
        try:
            value = (self._folder / name).read_text().strip()
        except (OSError, ValueError) as error:
            raise StoreCredentialsRefusedError(f"the store's {name} can't be read: {error}") from error
        if not value:
            raise StoreCredentialsRefusedError(f"the store's {name} is empty: put the key pair into the Secret")
        return value
