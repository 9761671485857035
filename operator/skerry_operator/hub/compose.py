"""Puts together what one site is told: pure, from the document that it has and what is decided now."""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core.assignment.document import (
    AnalysisLimits,
    AssignmentDocument,
    ModelAssignment,
    ReleaseRef,
    RemovedModel,
    RuntimeTemplate,
)
from skerry_core.drift.limits import DriftLimits
from skerry_operator.hub.rollout.facts import SiteTarget
from skerry_operator.hub.targets import ModelName


@dataclass(frozen=True, slots=True)
class ModelPolicy:
    """The part of an entry that comes from the Model itself."""

    served_name: str
    analysis: AnalysisLimits
    drift: DriftLimits | None = None


def target_of(entry: ModelAssignment) -> SiteTarget:
    """The part of an entry that plans decide."""
    return SiteTarget(entry.target, entry.approved, entry.quarantined)


def compose(
    *,
    site: str,
    current: AssignmentDocument | None,
    told: Mapping[ModelName, SiteTarget],
    removed: AbstractSet[ModelName],
    held: AbstractSet[ModelName],
    policies: Mapping[ModelName, ModelPolicy],
    trust_policy: str,
    sync_policy: str | None,
    feature_sets: Mapping[str, tuple[str, ...]],
    runtime: RuntimeTemplate,
    serial: Serial,
    now: datetime,
) -> AssignmentDocument:
    """The next document; the current one itself if nothing in it would change.

    Entries of models that are gone, or aren't for this site any more, stay as they are: only `removals` remove (law 2).
    So does the sync policy while no published one claims the site (`sync_policy` is None). `feature_sets` has digests
    of those of the releases, by digest of the manifest; while one is missing there (it can't be read just now) no set
    is taken away.

    `removed` are models whose owners want them gone from the site. Those that it was told of or has (`held`, by its own
    report) are named in `removals`, and stay there, for a node that was away, until the model is assigned again.
    """
    before = {(entry.namespace, entry.name): entry for entry in (current.models if current else ())}
    entries = {name: entry for name, entry in before.items() if name not in removed}
    for name in (entries.keys() | told.keys()) - removed:
        policy, target = policies.get(name), told.get(name)
        if (entry := entries.get(name)) is not None:
            target = target or target_of(entry)
            policy = policy or ModelPolicy(entry.served_name, entry.analysis, entry.drift)
        if policy is not None and target is not None:
            entries[name] = _entry(name, policy, target)
    document = AssignmentDocument(
        site=site,
        serial=serial,
        issued_at=now,
        trust_policy=trust_policy,
        sync_policy=sync_policy or (current.sync_policy if current else None),
        feature_sets=_feature_sets(current, entries.values(), feature_sets),
        runtime=runtime,
        models=tuple(entries[name] for name in sorted(entries)),
        removals=_removals(current, removed & (before.keys() | held), entries.keys()),
    )
    if current is not None and current.serial.incarnation == serial.incarnation and same(current, document):
        return current
    return document


def _entry(name: ModelName, policy: ModelPolicy, target: SiteTarget) -> ModelAssignment:
    return ModelAssignment(
        namespace=name[0],
        name=name[1],
        served_name=policy.served_name,
        target=target.target,
        approved=target.approved,
        analysis=policy.analysis,
        drift=policy.drift,
        quarantined=target.quarantined,
    )


def _removals(
    current: AssignmentDocument | None, more: AbstractSet[ModelName], assigned: AbstractSet[ModelName]
) -> tuple[RemovedModel, ...]:
    names = {(model.namespace, model.name) for model in (current.removals if current else ())} | more
    return tuple(RemovedModel(namespace=namespace, name=name) for namespace, name in sorted(names - assigned))


def releases_of(entries: Iterable[ModelAssignment]) -> tuple[ReleaseRef, ...]:
    """The releases that entries name, each once, the approved ones first."""
    entries = list(entries)
    refs = [entry.approved for entry in entries] + [entry.target for entry in entries]
    return tuple(dict.fromkeys(ref for ref in refs if ref is not None))


def _feature_sets(
    current: AssignmentDocument | None,
    entries: Iterable[ModelAssignment],
    known: Mapping[str, tuple[str, ...]],
) -> tuple[str, ...]:
    needed = releases_of(entries)
    digests = {digest for release in needed for digest in known.get(release.digest, ())}
    if current is not None and any(release.digest not in known for release in needed):
        digests.update(current.feature_sets)
    return tuple(sorted(digests))


def same(one: AssignmentDocument, other: AssignmentDocument) -> bool:
    """Tell whether two documents say the same; when they were issued, and as which number, isn't said by them."""
    # As on the wire, where a duration, say, is rounded: else a document would differ from itself once sealed.
    unsaid = {"serial", "issuedAt"}
    said, other_said = (
        {name: value for name, value in document.to_wire().items() if name not in unsaid} for document in (one, other)
    )
    return said == other_said


def next_serial(incarnation: int, seen: Iterable[Serial | None]) -> Serial:
    """One more than any serial of this incarnation that was ever given to the site, as far as anybody remembers."""
    numbers = [serial.n for serial in seen if serial is not None and serial.incarnation == incarnation]
    return Serial(incarnation=incarnation, n=max(numbers, default=0) + 1)
