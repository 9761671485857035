"""Kubernetes conditions as kstatus, Argo CD and Flux read them, and the status that every kind begins with."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.fields import ApiModel, Message, Timestamp

KEEP_DEFAULT = "x-skerry-keep-default"
"""Marks the few fields whose default goes into the CRD; others resolve theirs into `status.effective`."""


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One observation of an object's state; `reason` is CamelCase and stable, `message` says what to do."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)]
    """What is observed: Ready, Reconciling, Stalled, or a kind's own, such as an EdgeSite's Reachable."""
    status: ConditionStatus
    """True, False or Unknown. Reconciling and Stalled are there only while they are True."""
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=128)]
    """One CamelCase word for programs; it stays the same from version to version."""
    message: Message = ""
    """What happened and what to do about it, for people."""
    observed_generation: Annotated[int, Field(ge=0)] = 0
    """The `metadata.generation` that was observed."""
    last_transition_time: Timestamp
    """When `status` last changed."""


class Status(ApiModel):
    """What every kind's status begins with."""

    # -1 until the first reconcile: `kubectl wait`, Argo CD and Flux then see an object that nobody has looked at yet.
    observed_generation: Annotated[int, Field(ge=-1, json_schema_extra={KEEP_DEFAULT: True})] = -1
    """The `metadata.generation` that this status speaks of, advanced on failure too; -1 before the first."""
    conditions: Annotated[
        tuple[Condition, ...],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
        ),
    ] = ()
    """Ready always; Reconciling while work goes on, Stalled while somebody must act."""
