"""Kubernetes conditions in the shape that kstatus, Argo CD and Flux read."""

from enum import StrEnum
from typing import Annotated

from pydantic import StringConstraints

from skerry_api.v1alpha1.fields import ApiModel, Message, Timestamp


class ConditionStatus(StrEnum):
    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(ApiModel):
    """One observation of an object's state; `reason` is CamelCase and stable, `message` says what to do."""

    type: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=64)]
    status: ConditionStatus
    reason: Annotated[str, StringConstraints(pattern=r"^[A-Z][A-Za-z0-9]*$", max_length=128)]
    message: Message = ""
    observed_generation: int = 0
    last_transition_time: Timestamp
