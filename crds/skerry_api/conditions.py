"""kstatus conditions, computed from a table: what `kubectl wait`, Argo CD and Flux read of every kind.

After kstatus (sigs.k8s.io/cli-utils, pkg/kstatus): `Ready` is always there; `Reconciling` and `Stalled` are there only
while they are True. Work that goes on, or that is tried again, is Reconciling; what only a person can mend is Stalled.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from skerry_api.v1alpha1.condition import Condition, ConditionStatus
from skerry_api.v1alpha1.fields import MESSAGE_LENGTH

READY = "Ready"
RECONCILING = "Reconciling"
STALLED = "Stalled"


@dataclass(frozen=True)
class Ready:
    """The object is as its spec asks."""

    reason: str = "Succeeded"
    message: str = ""


@dataclass(frozen=True)
class Progressing:
    """Work goes on and nothing is wrong."""

    reason: str
    message: str


@dataclass(frozen=True)
class Waiting:
    """A cause outside keeps the object from being ready; it is tried again without anybody's doing."""

    reason: str
    message: str


@dataclass(frozen=True)
class Stalled:
    """Nothing will change until somebody changes the input; the message says what to do."""

    reason: str
    message: str


Outcome = Ready | Progressing | Waiting | Stalled

# Types that a row leaves out are absent from the object.
_TABLE: Mapping[type[Outcome], Mapping[str, ConditionStatus]] = {
    Ready: {READY: ConditionStatus.TRUE},
    Progressing: {READY: ConditionStatus.UNKNOWN, RECONCILING: ConditionStatus.TRUE},
    Waiting: {READY: ConditionStatus.FALSE, RECONCILING: ConditionStatus.TRUE},
    Stalled: {READY: ConditionStatus.FALSE, STALLED: ConditionStatus.TRUE},
}
_COMPUTED = frozenset({READY, RECONCILING, STALLED})


@dataclass(frozen=True)
class Observation:
    """A condition of a kind's own (an EdgeSite's Reachable, say), before it is known since when it holds."""

    type: str
    status: ConditionStatus
    reason: str
    message: str = ""


def conditions_for(
    outcome: Outcome,
    *,
    generation: int,
    now: datetime,
    previous: Sequence[Condition] = (),
    extra: Iterable[Observation] = (),
) -> tuple[Condition, ...]:
    """Give all conditions of an object: the outcome's row of the table, then `extra` in the order given.

    `generation` is the one that was looked at, whatever came of it. A previous condition that isn't given again is
    gone, so nothing stale lingers. ValueError if `extra` names a type of the table, or one type twice.
    """
    rows = [
        Observation(kind, status, outcome.reason, outcome.message) for kind, status in _TABLE[type(outcome)].items()
    ]
    own = list(extra)
    types = [observation.type for observation in own]
    if len({*types} - _COMPUTED) != len(types):
        raise ValueError(f"{types} must differ from each other and from the types that are computed")
    return tuple(_condition(observation, generation, now, previous) for observation in [*rows, *own])


def set_condition(
    conditions: Sequence[Condition], new: Observation, *, generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Replace one condition of a kind's own where it stands, or append it; the others stay as they are.

    `lastTransitionTime` moves only when `status` changes. ValueError for a type of the table: those are computed.
    """
    if new.type in _COMPUTED:
        raise ValueError(f"{new.type} is computed, by conditions_for")
    made = _condition(new, generation, now, conditions)
    if all(condition.type != new.type for condition in conditions):
        return (*conditions, made)
    return tuple(made if condition.type == new.type else condition for condition in conditions)


def find(conditions: Iterable[Condition], kind: str) -> Condition | None:
    """Give the condition of a type, if it is there."""
    return next((condition for condition in conditions if condition.type == kind), None)


def _condition(new: Observation, generation: int, now: datetime, previous: Iterable[Condition]) -> Condition:
    before = find(previous, new.type)
    since = before.last_transition_time if before is not None and before.status is new.status else now
    return Condition(
        type=new.type,
        status=new.status,
        reason=new.reason,
        # An error's text of any length must not make the whole status unwritable.
        message=new.message if len(new.message) <= MESSAGE_LENGTH else new.message[: MESSAGE_LENGTH - 1] + "…",
        observed_generation=generation,
        last_transition_time=since,
    )
