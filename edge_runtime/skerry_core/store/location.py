"""Store addresses: `s3://bucket/prefix` with an endpoint, or `file:///path`."""

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from skerry_core.store.errors import StoreAddressInvalidError
from skerry_core.store.folder import FolderStore
from skerry_core.store.port import Store, check_key
from skerry_core.store.s3 import S3Settings, S3Store


@dataclass(frozen=True)
class S3Access:
    """How to reach an S3 server: endpoint URL (`https://s3.example.com:9000`), key pair, region, own CA's PEM file.

    `key_folder` holds the key pair as files, in place of one that is given; see `skerry_core.store.key_folder`.
    """

    endpoint: str
    access_key: str = ""
    secret_key: str = field(default="", repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str = "us-east-1"
    ca_file: Path | None = None
    key_folder: Path | None = None


def open_store(uri: str, access: S3Access | None = None) -> Store:
    """Open the store at a base URI; nothing is asked of it yet. Raises StoreAddressInvalidError."""
    parts = urlsplit(uri)
    if parts.scheme == "file" and parts.netloc in {"", "localhost"} and parts.path.startswith("/"):
        return FolderStore(Path(unquote(parts.path)))
    if parts.scheme != "s3" or not parts.netloc or parts.query or parts.fragment:
        raise StoreAddressInvalidError(f"{uri!r} is not a store: use s3://bucket, s3://bucket/prefix or file:///folder")
    if access is None:
        raise StoreAddressInvalidError(f"{uri} needs an endpoint and credentials")
    prefix = parts.path.strip("/")
    return S3Store(
        S3Settings(
            endpoint=access.endpoint,
            bucket=parts.netloc,
            prefix=check_key(prefix) if prefix else "",
            access_key=access.access_key,
            secret_key=access.secret_key,
            session_token=access.session_token,
            region=access.region,
            ca_file=access.ca_file,
            key_folder=access.key_folder,
        )
    )


def key_of(store: Store, uri: str) -> str:
    """The key, in this store, of an object's or folder's whole URI; StoreAddressInvalidError if it lies elsewhere."""
    base = f"{store.uri}/"
    if not uri.startswith(base):
        raise StoreAddressInvalidError(f"{uri} does not lie in the store {store.uri}: push it there or correct the URI")
    return check_key(uri.removeprefix(base).rstrip("/"))
