"""What an attacker would offer: bundles that are not what they say, and assignments by a thief of the hub key."""

import json
import shutil
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core.assignment.document import AssignmentDocument, ModelAssignment, ReleaseRef
from skerry_core.bundle.folder import MODEL_FILE, read_bundle
from skerry_core.bundle.publish import push
from skerry_core.canonical import canonical_json
from skerry_core.digest import of_bytes
from skerry_core.store.grant import S3GrantIssuer, StoreGrant
from skerry_core.store.s3 import S3Store
from skerry_core.trust.assignment import open_assignment, seal_assignment
from tests.e2e.story.platform import MODEL
from tests.e2e.story.story import Story


def copy_bundle(source: Path, target: Path) -> Path:
    """Copy a bundle's folder, replacing an earlier copy."""
    shutil.rmtree(target, ignore_errors=True)
    return Path(shutil.copytree(source, target))


def tamper(folder: Path) -> None:
    """Change one byte of the model and make the manifest agree; the signature stays the author's."""
    model = bytearray((folder / MODEL_FILE).read_bytes())
    model[-1] ^= 1
    (folder / MODEL_FILE).write_bytes(model)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"][0]["digest"] = of_bytes(bytes(model))
    (folder / "manifest.json").write_bytes(canonical_json(manifest))


def publish_unsigned(story: Story, folder: Path, path: str) -> str:
    """Put a bundle into the store with no signature but an empty object; returns its digest and storage URI."""
    store = story.platform.store()
    bundle = replace(read_bundle(folder), signature=b"{}")
    uri = f"{store.uri}/{path}"
    push(store, bundle, uri)
    return uri


class StolenHubKey:
    """Signs assignments for a site with the hub's own key."""

    def __init__(self, story: Story, site: str) -> None:
        keys = story.platform.keys
        self._private = (keys / "hub.key").read_bytes()
        envelope = story.hub.assignment(site)["spec"]["envelope"]
        self._genuine = open_assignment(envelope, (keys / "hub.pub").read_bytes(), site=site, last=None)
        self._site = site
        self._n = self._genuine.serial.n

    def offering(self, release: ReleaseRef, *, model: str | None = None) -> AssignmentDocument:
        """The genuine assignment, one serial later, with this release as its model's target."""
        self._n += 1
        genuine = next(each for each in self._genuine.models if each.name == MODEL)
        others = tuple(each for each in self._genuine.models if each is not genuine)
        offered: ModelAssignment = genuine.model_copy(
            update={"target": release} | ({"name": model, "served_name": model, "approved": None} if model else {})
        )
        return self._genuine.model_copy(
            update={
                "serial": Serial(incarnation=self._genuine.serial.incarnation, n=self._n),
                "issued_at": datetime.now(UTC),
                "models": (offered, *others) if model is None else (genuine, *others, offered),
            }
        )

    def sealed(self, document: AssignmentDocument) -> dict[str, object]:
        """The spec of a SiteAssignment that carries a document."""
        return {
            "envelope": seal_assignment(document, self._private),
            "serial": document.serial.to_wire(),
            "models": [
                {
                    "namespace": each.namespace,
                    "name": each.name,
                    "version": each.target.version,
                    "digest": each.target.digest,
                }
                for each in document.models
            ],
        }

    def grant(self, store: S3Store, document: AssignmentDocument, folder: Path) -> StoreGrant:
        """A grant for all that the document names and for the blobs of one bundle, as a thief would make one."""
        bundle = read_bundle(folder)
        assert bundle.signature is not None
        digests = {bundle.digest, of_bytes(bundle.signature), document.trust_policy, *document.feature_sets}
        digests |= {entry.digest for entry in bundle.manifest.files}
        for each in document.models:
            digests |= {ref.digest for ref in (each.target, each.approved) if ref}
            digests |= {ref.signature for ref in (each.target, each.approved) if ref}
        return S3GrantIssuer(store).issue(self._site, digests, datetime.now(UTC))


def reference_of(folder: Path) -> ReleaseRef:
    """How an assignment would name a bundle."""
    bundle = read_bundle(folder)
    assert bundle.signature is not None
    return ReleaseRef(
        release=f"{bundle.manifest.model}-{bundle.manifest.version}",
        version=bundle.manifest.version,
        digest=bundle.digest,
        signature=of_bytes(bundle.signature),
    )
