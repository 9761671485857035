"""A bundle on an author's disk: manifest, model files and, once signed, the signature."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from skerry_core import digest as digests
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest
from skerry_core.durable import write_file
from skerry_core.errors import UserMustActError
from skerry_core.store.errors import DigestMismatchError

MANIFEST_FILE = "manifest.json"
SIGNATURE_FILE = "manifest.sigstore.json"
MODEL_FILE = "model.onnx"


@dataclass(frozen=True)
class BundleFolder:
    """What was read: the manifest's own bytes (its digest is the release's) and the signature's, if there is one."""

    folder: Path
    manifest_bytes: bytes
    manifest: Manifest
    signature: bytes | None

    @property
    def digest(self) -> str:
        return digests.of_bytes(self.manifest_bytes)

    def file(self, name: str) -> Path:
        """Path of one of the manifest's files; their names have no slashes."""
        return self.folder / name


def read_bundle(folder: Path) -> BundleFolder:
    """Read a bundle folder and check every file against the manifest.

    Raises UserMustActError `BundleMalformed` or `DigestMismatch`.
    """
    try:
        manifest_bytes = _read(folder / MANIFEST_FILE, MAX_MANIFEST_BYTES)
        manifest = Manifest.model_validate_json(manifest_bytes)
        signature_path = folder / SIGNATURE_FILE
        signature = _read(signature_path, MAX_SIGNATURE_BYTES) if signature_path.is_file() else None
    except FileNotFoundError:
        raise UserMustActError(
            "BundleMalformed", f"{folder} has no {MANIFEST_FILE}: make the bundle with `skerry package`"
        ) from None
    except (ValidationError, OSError) as error:
        raise UserMustActError("BundleMalformed", f"{folder / MANIFEST_FILE}: {error}") from error
    bundle = BundleFolder(folder, manifest_bytes, manifest, signature)
    for entry in manifest.files:
        path = bundle.file(entry.path)
        if path.is_symlink() or not path.is_file():
            raise UserMustActError("BundleMalformed", f"{path} is missing or no plain file: package the model again")
        if path.stat().st_size != entry.size or digests.of_file(path) != entry.digest:
            raise DigestMismatchError(f"{path} is not the file that the manifest names: package the model again")
    return bundle


def write_signature(bundle: BundleFolder, signature: bytes) -> Path:
    """Put the signature beside the manifest that it signs."""
    path = bundle.folder / SIGNATURE_FILE
    write_file(path, signature)
    return path


def _read(path: Path, limit: int) -> bytes:
    with path.open("rb") as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise UserMustActError("BundleMalformed", f"{path} is larger than {limit} bytes")
    return data
