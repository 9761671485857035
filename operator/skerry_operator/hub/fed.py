"""Conditions that tell whether events reach feature sets: of a FeatureSet by all SyncPolicies, of a site by its own."""

from collections.abc import Iterable

from skerry_api.conditions import Observation
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_core.features.fed import Source, Unfed, unfed
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import SyncPolicyDocument

STREAM_DECLARED = "StreamDeclared"
FEATURES_FED = "FeaturesFed"
_NAMED = 5


def stream_declared(source: Source, policies: Iterable[tuple[str, SyncPolicyDocument]]) -> Observation:
    """Whether events of a set's stream are taken in anywhere; `policies` by `namespace/name`."""
    if unfed(source, DEFAULT_POLICY) is None:
        return Observation(STREAM_DECLARED, ConditionStatus.TRUE, "BuiltIn", f"{source.stream} is one of Skerry's own")
    troubles = [(name, unfed(source, policy)) for name, policy in policies]
    if names := sorted(name for name, trouble in troubles if trouble is None):
        return Observation(
            STREAM_DECLARED,
            ConditionStatus.TRUE,
            "Declared",
            f"{source.stream} is declared by {', '.join(names[:_NAMED])}",
        )
    for name, trouble in sorted(troubles):
        if trouble is not None and trouble[0] is Unfed.DEVICE_PATH_MISSING:
            return Observation(STREAM_DECLARED, ConditionStatus.FALSE, trouble[0], f"SyncPolicy {name}: {trouble[1]}")
    return Observation(
        STREAM_DECLARED,
        ConditionStatus.FALSE,
        Unfed.STREAM_NOT_DECLARED,
        f"no SyncPolicy declares stream {source.stream}, so no site takes its events in: add it to spec.streams of the "
        "SyncPolicy of each site that is to compute the set",
    )


def features_fed(sources: Iterable[Source], policy: SyncPolicyDocument) -> Observation | None:
    """Whether events can count in every set that a site was told to compute; None if there is none."""
    sources = list(sources)
    if not sources:
        return None
    troubles = [(source.name, trouble) for source in sources if (trouble := unfed(source, policy)) is not None]
    if not troubles:
        return Observation(FEATURES_FED, ConditionStatus.TRUE, "Declared", "every feature set's stream is declared")
    told = "; ".join(sorted(f"{name}: {trouble[1]}" for name, trouble in troubles)[:_NAMED])
    return Observation(FEATURES_FED, ConditionStatus.FALSE, troubles[0][1][0], told)
