"""Which blobs an assignment asks for, and which must stay for the model that serves; pure."""

from collections.abc import Iterable, Iterator, Mapping

from skerry_core.assignment.document import AssignmentDocument, ReleaseRef
from skerry_core.bundle.manifest import MAX_MANIFEST_BYTES, MAX_SIGNATURE_BYTES, Manifest
from skerry_core.features.definition import MAX_DOCUMENT_BYTES as MAX_FEATURE_SET_BYTES
from skerry_core.sync_policy.document import MAX_DOCUMENT_BYTES
from skerry_core.trust.policy_envelope import MAX_ENVELOPE_BYTES
from skerry_edge.delivery.gc import Keep
from skerry_edge.delivery.plan import Wanted

# Manifests that are on disk, by digest; absent: not there, or not readable as a manifest.
Manifests = Mapping[str, Manifest]


def releases(document: AssignmentDocument, quarantined: Iterable[str] = ()) -> Iterator[ReleaseRef]:
    """Releases to have here, each once: all approved ones before any target, none that may not run."""
    barred = set(quarantined).union(*(model.quarantined for model in document.models))
    seen: set[str] = set()
    candidates = [model.approved for model in document.models] + [model.target for model in document.models]
    for release in candidates:
        if release is not None and release.digest not in seen | barred:
            seen.add(release.digest)
            yield release


def wanted(document: AssignmentDocument, manifests: Manifests, quarantined: Iterable[str] = ()) -> tuple[Wanted, ...]:
    """Blobs to have, in the order to fetch them: both policies, feature sets, then each release's own.

    A release's own are its manifest, its signature and its files. Feature sets come before, as they have a log to catch
    up with before a model can use them. A manifest's files are unknown until it is
    there, so this is asked again after each download.
    """
    blobs = [Wanted(document.trust_policy, MAX_ENVELOPE_BYTES)]
    if document.sync_policy is not None:
        blobs.append(Wanted(document.sync_policy, MAX_DOCUMENT_BYTES))
    blobs += [Wanted(digest, MAX_FEATURE_SET_BYTES) for digest in document.feature_sets]
    for release in releases(document, quarantined):
        blobs.append(Wanted(release.digest, MAX_MANIFEST_BYTES))
        blobs.append(Wanted(release.signature, MAX_SIGNATURE_BYTES))
        manifest = manifests.get(release.digest)
        if manifest is not None:
            # The assignment names them too, unless the hub couldn't read the manifest just then.
            blobs += [Wanted(digest, MAX_FEATURE_SET_BYTES) for digest in manifest.feature_set_digests()]
            blobs += [Wanted(file.digest, file.size, file.size) for file in manifest.files]
    return tuple(dict.fromkeys(blobs))


def keep(
    document: AssignmentDocument | None,
    activation: Iterable[ReleaseRef] | None,
    manifests: Manifests,
    quarantined: Iterable[str] = (),
) -> Keep:
    """Blobs that must stay: what the assignment refers to, and whatever inference serves or may go back to.

    `activation` are the releases that inference holds on to; they stay even if quarantined, until it has let go of
    them. Nothing may go (`complete` is false) while there is no assignment, inference's state can't be read
    (`activation` is None), or a release that it holds has no readable manifest here, since its files are then unknown.
    """
    if document is None or activation is None:
        return Keep(frozenset(), complete=False)
    digests = {item.digest for item in wanted(document, manifests, quarantined)}
    complete = True
    for release in activation:
        digests |= {release.digest, release.signature}
        manifest = manifests.get(release.digest)
        if manifest is None:
            complete = False
        else:
            digests.update(manifest.feature_set_digests())
            digests.update(file.digest for file in manifest.files)
    return Keep(frozenset(digests), complete)
