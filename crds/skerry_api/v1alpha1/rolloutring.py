"""RolloutRing: a stage of a rollout, a set of sites and what it takes to pass it."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Duration, ObjectMeta
from skerry_api.v1alpha1.selector import LabelSelector


class RolloutStrategy(ApiModel):
    """OCM's words: how many sites at once, how many may fail, how long each may take and must last."""

    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    max_failures: Annotated[int, Field(ge=0, le=100_000)] | None = None
    progress_deadline: Duration | None = None
    min_success_time: Duration | None = None


class RolloutRingSpec(ApiModel):
    order: Annotated[int, Field(ge=0, le=1000)]
    site_selector: LabelSelector = LabelSelector()
    rollout_strategy: RolloutStrategy | None = None
    # Percent of the ring's sites that must report success before the next ring starts.
    min_reporting: Annotated[int, Field(ge=1, le=100)] | None = None
    evidence_max_age: Duration | None = None


class RolloutRingEffective(ApiModel):
    """The ring's policy with every default resolved."""

    rollout_strategy: RolloutStrategy
    min_reporting: int
    evidence_max_age: Duration


class RolloutRingStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    sites: int = 0
    effective: RolloutRingEffective | None = None


class RolloutRing(ApiModel):
    metadata: ObjectMeta
    spec: RolloutRingSpec
    status: RolloutRingStatus = RolloutRingStatus()
