"""TrustPolicy: verify its envelope, put it where sites can fetch it, and let the newest one count."""

from typing import Any

import structlog

from skerry_api.conditions import Outcome, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.trustpolicy import TrustPolicy, TrustPolicyStatus
from skerry_core import digest as digests
from skerry_core.errors import UserMustActError, WaitError
from skerry_core.store.blobs import put_bytes, read_blob
from skerry_core.store.errors import DigestMismatchError, ObjectMissingError
from skerry_core.trust.errors import TrustError
from skerry_core.trust.policy_envelope import MAX_ENVELOPE_BYTES, open_policy
from skerry_operator.hub.hub import ActivePolicy, Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.kube.resources import EDGE_SITES, MODEL_RELEASES

_log = structlog.get_logger()
_PATIENT = 15.0


def reconcile_trust_policy(hub: Hub, key: Key) -> float | None:
    """Write a policy's status; if it is the newest, everything that was decided by an older one is decided again."""
    policy = hub.inventory.get(TrustPolicy, key.name)
    if policy is None:
        return None
    offered: ActivePolicy | None = None
    outcome: Outcome
    try:
        recall(hub)
        offered = ActivePolicy(
            open_policy(policy.spec.envelope, hub.policy_key, last_serial=None),
            digests.of_bytes(policy.spec.envelope.encode()),
        )
        # Sites fetch it by its digest, so it must be there before the first of them hears of it.
        put_bytes(hub.store, policy.spec.envelope.encode())
        outcome = _activate(hub, offered)
    except UserMustActError as error:
        outcome = Stalled(error.reason, str(error))
    except WaitError as error:
        outcome = Waiting(error.reason, str(error))
    generation = policy.metadata.generation
    status = TrustPolicyStatus(
        observed_generation=generation,
        conditions=conditions_for(outcome, generation=generation, now=hub.now(), previous=policy.status.conditions),
        **(_summary(offered) if offered else {}),
    )
    hub.statuses.write(policy, status)
    return None if isinstance(outcome, Ready) else _PATIENT


def recall(hub: Hub) -> None:
    """Let the newest policy count that any site was told; once in each life of this process.

    A restart must neither let an older policy in nor forget one that was deleted. What the store lost, or an
    earlier policy key sealed, is left out: sites keep their own serials besides.

    Raises the store's other errors; until it succeeds, nothing counts.
    """
    with hub.trust.lock:
        if hub.trust.recalled:
            return
        told = {record.document.trust_policy for record in hub.inventory.records() if record.document}
        for digest in sorted(told):
            try:
                envelope = read_blob(hub.store, digest, MAX_ENVELOPE_BYTES)
                known = ActivePolicy(open_policy(envelope, hub.policy_key, last_serial=None), digest)
            except (ObjectMissingError, DigestMismatchError, TrustError) as error:
                _log.warning("a policy that sites follow can't be recalled", digest=digest, message=str(error))
                continue
            _activate(hub, known)
        hub.trust.recalled = True


def _summary(policy: ActivePolicy) -> dict[str, Any]:
    denied = policy.document.deny_list
    return {
        "digest": policy.digest,
        "serial": policy.document.serial,
        "bindings": len(policy.document.bindings),
        "denied": len(denied.digests) + len(denied.identities),
    }


def _activate(hub: Hub, offered: ActivePolicy) -> Outcome:
    with hub.trust.lock:
        active = hub.trust.active
        newer = active is None or offered.document.serial > active.document.serial
        if newer:
            hub.trust.active = offered
    if active is None or newer:
        for release in hub.inventory.all(ModelRelease):
            hub.enqueue(Key(MODEL_RELEASES, release.metadata.namespace or "", release.metadata.name), 0)
        for site in hub.inventory.all(EdgeSite):
            hub.enqueue(Key(EDGE_SITES, "", site.metadata.name), 0)
    elif offered.document.serial < active.document.serial:
        return Stalled(
            "SerialOlder",
            f"serial {offered.document.serial} is older than {active.document.serial}, which counts: sign a newer one",
        )
    elif offered.digest != active.digest:
        return Stalled(
            "SerialTaken",
            f"another policy has serial {offered.document.serial} too: sign this one with a higher serial",
        )
    return Ready(message=f"policy {offered.document.serial} counts for hub and sites")
