"""SiteAssignment: what one site is told (a signed envelope) and what it answers (its report)."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints
from pydantic.config import JsonDict

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.drift import DriftReport
from skerry_api.v1alpha1.fields import ApiModel, Digest, Measured, Message, Name, ObjectMeta, SemVer, Timestamp
from skerry_api.v1alpha1.modelrelease import FailedMetric

MODEL_LIST: JsonDict = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["namespace", "model"]}
"""Schema keywords of a list with one entry per model."""

_FORWARD = Rule(
    "self.incarnation > oldSelf.incarnation || (self.incarnation == oldSelf.incarnation && self.n >= oldSelf.n)",
    "spec.serial never goes back: an older assignment can't replace a newer one",
)


class Serial(ApiModel):
    """Order of assignments; compared as (incarnation, n), never accepted backwards."""

    incarnation: Annotated[int, Field(ge=0)]
    """Which life of the hub wrote it; a hub restored from a backup gets a new one, by a signed act."""
    n: Annotated[int, Field(ge=0)]
    """Counts up with every assignment of that life."""

    def key(self) -> tuple[int, int]:
        """The pair that is compared."""
        return (self.incarnation, self.n)


class AssignedModel(ApiModel):
    """A readable view of one model in the envelope; nothing decides by it."""

    namespace: Name
    """Namespace of the Model at the hub."""
    name: Name
    """Name of the Model."""
    version: SemVer
    """Version that the site is to serve."""
    digest: Digest
    """Digest of that version's manifest."""


class SiteAssignmentSpec(ApiModel):
    envelope: Annotated[str, StringConstraints(min_length=1, max_length=12288)]
    """What the site is told, signed by the hub; the only thing that is believed."""
    serial: Annotated[Serial, Field(json_schema_extra=rules(_FORWARD))]
    """Order of assignments, as the envelope says it; never goes back."""
    models: Annotated[
        tuple[AssignedModel, ...],
        Field(
            max_length=64,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["namespace", "name"]},
        ),
    ] = ()
    """The envelope's models, to be read by people."""


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
    """Requests that both have answered."""
    disagreements: Annotated[int, Field(ge=0)] = 0
    """Pairs whose answers decide differently."""
    challenger_errors: Annotated[int, Field(ge=0)] = 0
    """Requests on which the challenger failed."""
    expected_disagreement: Measured = None
    """Share of pairs that packaging expected to disagree, 0 to 1; absent when nothing was measured."""
    latency_ratio_p50: Measured = None
    """Median ratio of the challenger's latency to the champion's on the same requests."""
    guardrail_trips: Annotated[int, Field(ge=0)] = 0
    """Requests that tripped a guardrail; the champion answered them."""


class ModelReport(ApiModel):
    """One model at one site (or node): what answers requests, and how the target fares."""

    namespace: Name
    """Namespace of the Model at the hub."""
    model: Name
    """Name of the Model."""
    phase: ModelPhase
    """Waiting, Downloading, Verifying, Loading, Canary, Serving (the target), RolledBack, Refused or Stalled."""
    target_digest: Digest | None = None
    """Digest that was assigned."""
    serving_digest: Digest | None = None
    """Digest that answers requests; absent when none does."""
    serving_version: SemVer | None = None
    """Version that answers requests."""
    serving_since: Timestamp | None = None
    """Since when it does, by the site's clock."""
    requests: Annotated[int, Field(ge=0)] = 0
    """Requests answered since the runtime started."""
    evidence: EvidenceSummary | None = None
    """How the challenger fares against the champion."""
    failed_metric: FailedMetric | None = None
    """Why the target was rolled back."""
    quarantined: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()
    """Digests judged bad here, newest last."""
    reason: Annotated[str, StringConstraints(max_length=128)] = ""
    """One CamelCase word for why the phase is what it is."""
    message: Message = ""
    """The same for people, with what to do about it."""
    drift: DriftReport | None = None
    """Whether what it sees and answers is still like its validation data; absent where the release brought none."""


class SiteAssignmentStatus(Status):
    """The site's report. `reportedAt` is the site's clock; the hub uses its own for reachability."""

    observed_serial: Serial | None = None
    """The newest assignment that the site has taken."""
    reported_at: Timestamp | None = None
    """When the report was written, by the site's clock."""
    site_version: Annotated[str, StringConstraints(max_length=64)] = ""
    """Version of the site's operator."""
    nodes: Annotated[int, Field(ge=0)] = 0
    """Nodes that should run a runtime."""
    nodes_ready: Annotated[int, Field(ge=0)] = 0
    """Nodes whose runtime is ready to answer."""
    queue_depth: Annotated[int, Field(ge=0)] = 0
    """Prediction records that the site still has to upload."""
    models: Annotated[tuple[ModelReport, ...], Field(max_length=64, json_schema_extra=MODEL_LIST)] = ()
    """What answers requests, and how each target fares."""


class SiteAssignment(ApiModel):
    """What one site is told, signed by the hub, and what the site answers. Written by the operators alone."""

    metadata: ObjectMeta
    spec: SiteAssignmentSpec
    """What the site is told."""
    status: SiteAssignmentStatus = SiteAssignmentStatus()
    """What the site answers: its report."""
