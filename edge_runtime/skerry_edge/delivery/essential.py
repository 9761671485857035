"""Which blobs come whatever the budgets for downloads say; pure.

Law 1 wants a model that answers, so what a model that doesn't serve here needs costs what it costs: its approved
release, or its target where none is approved yet. So do both policies: the trust policy is how a revocation gets here,
and the sync policy how too small a budget is raised. All else waits for its budget.
"""

from collections.abc import Iterable

from skerry_core.assignment.document import AssignmentDocument, ModelAssignment
from skerry_edge.delivery.activation import Activation
from skerry_edge.delivery.wanted import Manifests


def essential(
    document: AssignmentDocument, activation: Activation | None, manifests: Manifests, quarantined: Iterable[str] = ()
) -> frozenset[str]:
    """Digests of these blobs. Of a node whose activation can't be read nothing is known to serve."""
    barred = frozenset(quarantined).union(*(model.quarantined for model in document.models))
    digests = {document.trust_policy}
    if document.sync_policy is not None:
        digests.add(document.sync_policy)
    for model in document.models:
        release = model.approved or model.target
        if not _serves(model, activation, barred) and release.digest not in barred:
            digests |= {release.digest, release.signature}
            manifest = manifests.get(release.digest)
            if manifest is not None:
                digests.update(manifest.feature_set_digests())
                digests.update(file.digest for file in manifest.files)
    return frozenset(digests)


def _serves(model: ModelAssignment, activation: Activation | None, barred: frozenset[str]) -> bool:
    champion = None if activation is None else activation.champions.get(f"{model.namespace}/{model.name}")
    return champion is not None and champion not in barred
