"""Quarantine: a digest that may not run, since when, why and how far."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Digest, Name, ObjectMeta, Timestamp
from skerry_api.v1alpha1.modelrelease import FailedMetric


class QuarantineScope(StrEnum):
    """`site`: the named sites only. `release`: every site swaps back."""

    SITE = "site"
    RELEASE = "release"


class QuarantineSpec(ApiModel):
    digest: Digest
    namespace: Name
    model: Name
    release: str
    scope: QuarantineScope
    sites: Annotated[tuple[Name, ...], Field(max_length=10_000)] = ()
    since: Timestamp
    reason: FailedMetric


class QuarantineStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()


class Quarantine(ApiModel):
    metadata: ObjectMeta
    spec: QuarantineSpec
    status: QuarantineStatus = QuarantineStatus()
