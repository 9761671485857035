"""Model: a served name and the policy by which its releases go out."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import (
    ApiModel,
    Digest,
    Duration,
    Fraction,
    Name,
    ObjectMeta,
    SemVer,
    Timestamp,
)
from skerry_api.v1alpha1.selector import LabelSelector


class Guardrails(ApiModel):
    """Limits on single requests; the champion answers whatever request trips one."""

    max_trips: Annotated[int, Field(ge=1, le=1000)] | None = None
    window: Duration | None = None
    output_min: float | None = None
    output_max: float | None = None
    latency_limit: Duration | None = None


class Analysis(ApiModel):
    """How a challenger is judged against the champion on the same requests."""

    canary_fraction: Fraction | None = None
    interval: Duration | None = None
    windows: Annotated[int, Field(ge=1, le=100)] | None = None
    failure_limit: Annotated[int, Field(ge=1, le=100)] | None = None
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_disagreement_excess: Fraction | None = None
    max_disagreement: Fraction | None = None
    max_error_rate: Fraction | None = None
    max_latency_ratio: Annotated[float, Field(ge=1, le=1000)] | None = None
    latency_floor: Duration | None = None
    guardrails: Guardrails | None = None


class Rollback(ApiModel):
    """What is kept so that there is a way back."""

    keep: Annotated[int, Field(ge=1, le=10)] | None = None
    observation_window: Duration | None = None


class ModelSpec(ApiModel):
    served_name: Name | None = None
    site_selector: LabelSelector = LabelSelector()
    rings: Annotated[tuple[Name, ...], Field(max_length=32)] = ()
    analysis: Analysis | None = None
    rollback: Rollback | None = None


class ApprovedRelease(ApiModel):
    """A release kept whole, so that pruning it in Git never loses the way back."""

    release: str
    version: SemVer
    digest: Digest
    signature: Digest
    storage_uri: str
    approved_at: Timestamp


class ModelEffective(ApiModel):
    """The policy with every default resolved."""

    served_name: Name
    analysis: Analysis
    rollback: Rollback


class ModelStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    approved: ApprovedRelease | None = None
    previous: ApprovedRelease | None = None
    effective: ModelEffective | None = None


class Model(ApiModel):
    metadata: ObjectMeta
    spec: ModelSpec
    status: ModelStatus = ModelStatus()
