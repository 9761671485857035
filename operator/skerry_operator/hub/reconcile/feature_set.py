"""FeatureSet: resolve and check its version, put it where sites can fetch it, and let the releases on that wait for it.

Sites hear of a version by the releases that name it, never by the FeatureSet itself: deleting one changes nothing
anywhere (law 2). What was published stays in `status.versions` when `spec.version` moves on.
"""

from typing import TYPE_CHECKING

from skerry_api.conditions import Observation, Outcome, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_core.errors import SkerryError, UserMustActError, WaitError
from skerry_core.features.fed import Source, source_of
from skerry_core.store.blobs import put_bytes
from skerry_operator.hub.feature_set.check import publishable
from skerry_operator.hub.feature_set.versions import find_version, named_by, with_version
from skerry_operator.hub.fed import STREAM_DECLARED, stream_declared
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.sync_policy.claims import name_of
from skerry_operator.kube.resources import MODEL_RELEASES

if TYPE_CHECKING:
    from skerry_core.sync_policy.document import SyncPolicyDocument

_PATIENT = 15.0


def reconcile_feature_set(hub: Hub, key: Key) -> float | None:
    """Publish a set's version, write its status, and have the releases of its namespace looked at if it is new."""
    feature_set = hub.inventory.get(FeatureSet, key.name, key.namespace)
    if feature_set is None:
        return None
    status = feature_set.status
    known = find_version(status.versions, feature_set.spec.version)
    changes: dict[str, object] = {"digest": known.digest if known else None}
    outcome: Outcome
    declared: Observation | None = None
    known_for_sure = True
    try:
        offered = publishable(key.namespace, key.name, feature_set.spec)
        named = named_by(hub.inventory.all(ModelRelease), key.namespace, key.name)
        versions = with_version(status.versions, feature_set.spec.version, offered.digest, named=named, now=hub.now())
        # Sites fetch it by its digest, so it must be there before the first of them hears of it.
        put_bytes(hub.store, offered.data)
        changes = {"digest": offered.digest, "versions": versions, "effective": offered.effective}
        declared, known_for_sure = _declared(hub, source_of(offered.document))
        outcome = Ready(message=f"{feature_set.spec.version} is published; releases can name it")
    except UserMustActError as error:
        outcome = Stalled(error.reason, str(error))
    except WaitError as error:
        outcome = Waiting(error.reason, str(error))
    generation = feature_set.metadata.generation
    conditions = conditions_for(
        outcome,
        generation=generation,
        now=hub.now(),
        previous=status.conditions,
        extra=() if declared is None else (declared,),
    )
    changes |= {"observed_generation": generation, "conditions": conditions}
    hub.statuses.write(feature_set, status.model_copy(update=changes))
    if changes.get("versions", status.versions) != status.versions:
        _wake_releases(hub, key.namespace)
    return None if isinstance(outcome, Ready) and known_for_sure else _PATIENT


def _declared(hub: Hub, source: Source) -> tuple[Observation, bool]:
    """Whether a published policy declares the stream, and whether that is known: one that can't be read now may.

    It keeps no set from being published.
    """
    read: list[tuple[str, SyncPolicyDocument]] = []
    unread: list[Observation] = []
    for policy in sorted(hub.inventory.all(SyncPolicy), key=name_of):
        if policy.status.digest is None:
            continue
        name = "/".join(name_of(policy))
        try:
            read.append((name, hub.published.policy(policy.status.digest)))
        except (SkerryError, ValueError) as error:
            reason = error.reason if isinstance(error, SkerryError) else "Unreadable"
            message = f"SyncPolicy {name} can't be read now: {error}"
            unread.append(Observation(STREAM_DECLARED, ConditionStatus.UNKNOWN, reason, message))
    found = stream_declared(source, read)
    return (unread[0], False) if unread and found.status is ConditionStatus.FALSE else (found, True)


def _wake_releases(hub: Hub, namespace: str) -> None:
    for release in hub.inventory.all(ModelRelease):
        if release.metadata.namespace == namespace and release.spec.feature_sets:
            hub.enqueue(Key(MODEL_RELEASES, namespace, release.metadata.name), 0)
