"""The store's address and key pair, as both charts' processes at the hub are told them."""

from collections.abc import Mapping
from pathlib import Path

from skerry_core.errors import UserMustActError
from skerry_core.store.key_folder import ACCESS_KEY_FILE, SECRET_KEY_FILE
from skerry_core.store.location import S3Access


def needed(environment: Mapping[str, str], name: str) -> str:
    """A setting that there must be; UserMustActError names it."""
    if not (value := environment.get(name, "")):
        raise UserMustActError("SettingMissing", f"{name} is not set; the chart skerry-hub sets it")
    return value


def read_mounted(path: Path) -> bytes:
    """A file that the chart mounts; UserMustActError if it can't be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserMustActError("FileMissing", f"{path}: {error.strerror}; the chart skerry-hub mounts it") from error


def store_access(environment: Mapping[str, str], uri: str) -> S3Access | None:
    """How to reach the store at `uri`; None if it is a folder."""
    if uri.startswith("file:"):
        return None
    ca_file = environment.get("SKERRY_STORE_CA_FILE")
    key_folder = Path(environment.get("SKERRY_STORE_KEYS_DIR", "/etc/skerry/store-keys"))
    for name in (ACCESS_KEY_FILE, SECRET_KEY_FILE):
        read_mounted(key_folder / name)
    return S3Access(
        endpoint=needed(environment, "SKERRY_STORE_ENDPOINT"),
        region=environment.get("AWS_REGION") or "us-east-1",
        ca_file=Path(ca_file) if ca_file else None,
        key_folder=key_folder,
    )
