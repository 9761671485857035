"""This node's RuntimeNode status from facts, and whether it says anything new; pure.

Kubernetes stores what changed state, not what counts up: a status is written when a phase, a digest, a serial, a
reason, the order of magnitude of a queue, why it is held, or what nodes tell each other of consent changes. Whatever
else it holds is as of that moment.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from skerry_api.conditions import Observation, Outcome, Progressing, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.runtimenode import ConsentRelay, DiskUsage, FeatureSnapshot, RuntimeNodeStatus, TierQueue
from skerry_api.v1alpha1.siteassignment import ModelPhase, ModelReport, Serial
from skerry_core.drift.report import condition_of, settled
from skerry_edge.delivery.plan import DOWNLOADING, Pending

QUEUE_WINDOW = timedelta(seconds=10)
_COARSEST_EXACT = 1000
# Downloads that don't go on until somebody does something; for all others waiting is enough.
_STUCK = frozenset({"DiskTooSmall", "DigestMismatch", "StoreRefused"})
# A model that was judged bad is settled: the champion answers, and goes on to.
_SETTLED = frozenset({ModelPhase.SERVING, ModelPhase.ROLLED_BACK})


@dataclass(frozen=True)
class Cause:
    """A condition's reason and message."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Facts:
    """What is known of this node now.

    `accepted` is the assignment on this node's disk, `serial` the one that inference acts on; `models` is None while
    inference doesn't answer; `refusal` is why something newer isn't in force, `upload` why the log can't be uploaded.
    """

    site: str
    accepted: Serial | None
    serial: Serial | None
    models: tuple[ModelReport, ...] | None
    resident: tuple[str, ...] = ()
    refusal: Cause | None = None
    pending: tuple[Pending, ...] = ()
    upload: Cause | None = None
    disk: DiskUsage | None = None
    queue_depth: int = 0
    queues: tuple[TierQueue, ...] = ()
    address: str = ""
    snapshots: tuple[FeatureSnapshot, ...] = ()
    consent: ConsentRelay | None = None


def report(facts: Facts, generation: int, before: RuntimeNodeStatus | None, now: datetime) -> RuntimeNodeStatus:
    """Status as of now; a condition keeps the time of its last transition from `before`."""
    return RuntimeNodeStatus(
        observed_generation=generation,
        conditions=conditions_for(
            _stalled(facts) or _reconciling(facts) or Ready("Serving"),
            generation=generation,
            now=now,
            previous=before.conditions if before else (),
            extra=(_uploading(facts), *filter(None, (condition_of(facts.models or ()),))),
        ),
        site=facts.site,
        observed_serial=facts.serial,
        models=facts.models or (),
        resident=tuple(sorted(facts.resident)),
        disk=facts.disk,
        queue_depth=coarse(facts.queue_depth),
        queues=facts.queues,
        address=facts.address,
        snapshots=facts.snapshots,
        consent=facts.consent,
        updated_at=now,
    )


def changed(before: RuntimeNodeStatus | None, after: RuntimeNodeStatus) -> bool:
    """Tell whether `after` is worth a write."""
    return before is None or _news(before) != _news(after)


def _news(status: RuntimeNodeStatus) -> tuple[object, ...]:
    return (
        status.observed_generation,
        tuple((condition.type, condition.status, condition.reason) for condition in status.conditions),
        status.site,
        status.observed_serial,
        tuple(
            (
                model.namespace,
                model.model,
                model.phase,
                model.target_digest,
                model.serving_digest,
                model.reason,
                model.quarantined,
                settled(model.drift),
            )
            for model in status.models
        ),
        status.resident,
        status.queue_depth,
        tuple((queue.tier, queue.depth, queue.held_reason) for queue in status.queues),
        status.address,
        status.snapshots,
        status.consent,
    )


def coarse(depth: int) -> int:
    """A depth as the power of ten below it, and 0 below a thousand."""
    return 0 if depth < _COARSEST_EXACT else int(10 ** (len(str(depth)) - 1))


def standing(samples: Iterable[tuple[datetime, int]], now: datetime) -> int:
    """The least depth of the last ten seconds: what stands in a queue, not what passes through.

    A queue that is emptied every two seconds has none, however fast it fills (the measure of RFC 8289, CoDel).
    """
    return min((depth for at, depth in samples if now - at <= QUEUE_WINDOW), default=0)


def _uploading(facts: Facts) -> Observation:
    if facts.upload is None:
        return Observation("Uploading", ConditionStatus.TRUE, "Uploading")
    return Observation("Uploading", ConditionStatus.FALSE, facts.upload.reason, facts.upload.message)


def _stalled(facts: Facts) -> Outcome | None:
    """Why this node won't get where it was told to without somebody's help; the nearest cause first."""
    if facts.refusal is not None:
        return Stalled(facts.refusal.reason, facts.refusal.message)
    for item in facts.pending:
        if item.reason in _STUCK:
            return Stalled(item.reason, item.message)
    for model in facts.models or ():
        if model.phase is ModelPhase.REFUSED:
            return Stalled(model.reason or model.phase, _about(model))
    return None


def _reconciling(facts: Facts) -> Outcome | None:
    """Why this node isn't there yet; failures before mere progress."""
    if facts.accepted is None:
        return Waiting("AssignmentMissing", "no assignment has come yet: is the site operator running and linked?")
    if facts.models is None:
        return Waiting("InferenceUnreachable", "the inference container doesn't answer: look at its log")
    for item in sorted(facts.pending, key=lambda item: item.reason == DOWNLOADING):
        state = Progressing if item.reason == DOWNLOADING else Waiting
        return state(item.reason, item.message)
    if facts.serial != facts.accepted:
        return Progressing("Activating", "inference has yet to take up the newest assignment")
    return _unsettled(facts.models)


def _unsettled(models: Iterable[ModelReport]) -> Outcome | None:
    """What the models are on their way to; one that waits for a cause outside goes before those that progress."""
    for model in sorted(models, key=lambda model: model.phase is not ModelPhase.STALLED):
        if model.phase is ModelPhase.STALLED:
            return Waiting(model.reason or model.phase, _about(model))
        if model.phase not in _SETTLED:
            return Progressing(model.phase, _about(model))
    return None


def _about(model: ModelReport) -> str:
    return f"{model.namespace}/{model.model}: {model.message}"
