"""Releases made of bytes, and assignments that name them."""

from dataclasses import dataclass, field

from skerry_core import digest
from skerry_core.assignment.document import AssignmentDocument, ReleaseRef
from skerry_core.bundle.manifest import FileEntry, Manifest
from skerry_core.canonical import canonical_json
from tests.unit.trust import documents

POLICY = b"a signed trust policy"


@dataclass
class Release:
    """One release's blobs by digest, in the order in which they are wanted."""

    version: str
    files: tuple[bytes, ...]
    manifest: Manifest = field(init=False)
    ref: ReleaseRef = field(init=False)
    blobs: dict[str, bytes] = field(init=False)

    def __post_init__(self):
        entries = tuple(
            FileEntry(path=f"file-{n}", digest=digest.of_bytes(data), size=len(data))
            for n, data in enumerate(self.files)
        )
        template = Manifest.model_validate_json(documents.manifest_bytes(version=self.version))
        self.manifest = template.model_copy(update={"files": entries, "entrypoint": "file-0"})
        manifest, signature = canonical_json(self.manifest), f"signature of {self.version}".encode()
        self.ref = ReleaseRef(
            release=f"har-{self.version}",
            version=self.version,
            digest=digest.of_bytes(manifest),
            signature=digest.of_bytes(signature),
        )
        self.blobs = {digest.of_bytes(data): data for data in (manifest, signature, *self.files)}


def assignment(
    target: Release,
    approved: Release | None = None,
    *,
    serial: tuple[int, int] = (1, 1),
    quarantined: tuple[str, ...] = (),
    policy: bytes = POLICY,
) -> AssignmentDocument:
    model = documents.model_assignment().model_copy(
        update={"target": target.ref, "approved": approved and approved.ref, "quarantined": quarantined}
    )
    document = documents.assignment(serial=serial, models=(model,))
    return document.model_copy(update={"trust_policy": digest.of_bytes(policy)})
