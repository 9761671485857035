"""RolloutRing: a stage of a rollout, a set of sites and what it takes to pass it."""

from typing import Annotated

from pydantic import ConfigDict, Field

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, Duration, ObjectMeta, PositiveDuration
from skerry_api.v1alpha1.selector import LabelSelector

# Repeats the defaults, so that setting one of the two fields can't contradict the other's default.
_DEADLINE = Rule(
    "duration(has(self.minSuccessTime) ? self.minSuccessTime : '30s')"
    " < duration(has(self.progressDeadline) ? self.progressDeadline : '10m')",
    "minSuccessTime (30s unless set) must be shorter than progressDeadline (10m unless set): no site could succeed",
)


class RolloutStrategy(ApiModel):
    """OCM's words: how many sites at once, how many may fail, how long each may take and must last."""

    model_config = ConfigDict(json_schema_extra=rules(_DEADLINE))

    max_concurrency: Annotated[int, Field(ge=1, le=100_000)] | None = None
    """Sites that may be at it at the same time. Default: 10."""
    max_failures: Annotated[int, Field(ge=0, le=100_000)] | None = None
    """Sites that may fail before the release is rolled back everywhere. Default: 0."""
    progress_deadline: PositiveDuration | None = None
    """Time that a reachable site may take before it counts as failed. Default: 10m."""
    min_success_time: Duration | None = None
    """Time that a site must have answered requests with the release before it counts as a success. Default: 30s."""


class RolloutRingSpec(ApiModel):
    order: Annotated[int, Field(ge=0, le=1000)]
    """Place in the sequence: lower rings come first."""
    site_selector: LabelSelector = LabelSelector()
    """Sites, by labels of EdgeSites; each is in the first ring that matches, so a last ring may match all."""
    rollout_strategy: RolloutStrategy | None = None
    """How fast the ring goes, and how many failures it bears."""
    min_reporting: Annotated[int, Field(ge=1, le=100)] | None = None
    """Percent of the ring's sites that must report success before the next ring starts. Default: 100."""
    evidence_max_age: PositiveDuration | None = None
    """Age of a site's newest report after which it is unreachable. Default: 1m."""


class RolloutRingEffective(ApiModel):
    """The ring's policy with every default resolved."""

    rollout_strategy: RolloutStrategy
    """How fast the ring goes."""
    min_reporting: Annotated[int, Field(ge=1, le=100)]
    """Percent of the ring's sites that must report success."""
    evidence_max_age: PositiveDuration
    """Age of a report after which its site is unreachable."""


class RolloutRingStatus(Status):
    sites: Annotated[int, Field(ge=0)] = 0
    """EdgeSites whose first matching ring this is."""
    effective: RolloutRingEffective | None = None
    """The ring's policy with every default resolved."""


class RolloutRing(ApiModel):
    """A stage of every rollout: a set of sites, and what it takes to pass it."""

    metadata: ObjectMeta
    spec: RolloutRingSpec
    """Which sites, in which place, under which limits."""
    status: RolloutRingStatus = RolloutRingStatus()
    """How many sites are in it, and the policy in force."""
