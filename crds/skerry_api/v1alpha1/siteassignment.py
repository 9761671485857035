"""SiteAssignment: what one site is told (a signed envelope) and what it answers (its report)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Digest, Message, Name, ObjectMeta, SemVer, Timestamp
from skerry_api.v1alpha1.modelrelease import FailedMetric


class Serial(ApiModel):
    """Order of assignments; compared as (incarnation, n), never accepted backwards."""

    incarnation: Annotated[int, Field(ge=0)]
    n: Annotated[int, Field(ge=0)]

    def key(self) -> tuple[int, int]:
        """The pair that is compared."""
        return (self.incarnation, self.n)


class AssignedModel(ApiModel):
    """A readable view of one model in the envelope; nothing decides by it."""

    namespace: Name
    name: Name
    version: SemVer
    digest: Digest


class SiteAssignmentSpec(ApiModel):
    envelope: Annotated[str, StringConstraints(min_length=1, max_length=12288)]
    serial: Serial
    models: Annotated[tuple[AssignedModel, ...], Field(max_length=64)] = ()


class ModelPhase(StrEnum):
    """Where a site, or a node, stands with the release it was told to serve."""

    WAITING = "Waiting"  # nothing to do yet
    DOWNLOADING = "Downloading"
    VERIFYING = "Verifying"
    LOADING = "Loading"
    CANARY = "Canary"
    SERVING = "Serving"  # the target digest answers requests
    ROLLED_BACK = "RolledBack"  # judged bad here; the champion answers
    REFUSED = "Refused"  # not trusted, or can't run here; the champion answers
    STALLED = "Stalled"  # can't progress for a cause outside (store, disk); retried


class EvidenceSummary(ApiModel):
    """Paired evidence of challenger against champion, summed since the canary began."""

    pairs: Annotated[int, Field(ge=0)] = 0
    disagreements: Annotated[int, Field(ge=0)] = 0
    challenger_errors: Annotated[int, Field(ge=0)] = 0
    expected_disagreement: float | None = None
    latency_ratio_p50: float | None = None
    guardrail_trips: Annotated[int, Field(ge=0)] = 0


class ModelReport(ApiModel):
    """One model at one site (or node): what answers requests, and how the target fares."""

    namespace: Name
    model: Name
    phase: ModelPhase
    target_digest: Digest | None = None
    serving_digest: Digest | None = None
    serving_version: SemVer | None = None
    serving_since: Timestamp | None = None
    requests: Annotated[int, Field(ge=0)] = 0
    evidence: EvidenceSummary | None = None
    failed_metric: FailedMetric | None = None
    # Digests judged bad at this site, newest last.
    quarantined: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()
    reason: Annotated[str, StringConstraints(max_length=128)] = ""
    message: Message = ""


class SiteAssignmentStatus(ApiModel):
    """The site's report. `reportedAt` is the site's clock; the hub uses its own for reachability."""

    observed_generation: int = -1
    observed_serial: Serial | None = None
    conditions: tuple[Condition, ...] = ()
    reported_at: Timestamp | None = None
    site_version: Annotated[str, StringConstraints(max_length=64)] = ""
    nodes: Annotated[int, Field(ge=0)] = 0
    nodes_ready: Annotated[int, Field(ge=0)] = 0
    queue_depth: Annotated[int, Field(ge=0)] = 0
    models: Annotated[tuple[ModelReport, ...], Field(max_length=64)] = ()


class SiteAssignment(ApiModel):
    metadata: ObjectMeta
    spec: SiteAssignmentSpec
    status: SiteAssignmentStatus = SiteAssignmentStatus()
