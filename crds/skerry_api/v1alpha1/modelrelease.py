"""ModelRelease: one immutable signed version of a model. Creating one starts its rollout."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.condition import Condition
from skerry_api.v1alpha1.fields import ApiModel, Digest, Message, Name, ObjectMeta, SemVer, Timestamp


class ReleasePhase(StrEnum):
    """Where a release stands; Approved, RolledBack and Superseded are final."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    APPROVED = "Approved"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    REFUSED = "Refused"


class ModelReleaseSpec(ApiModel):
    model: Name
    version: SemVer
    storage_uri: Annotated[str, StringConstraints(pattern=r"^(s3|file)://.+", max_length=512)]
    digest: Digest
    model_format: Annotated[str, StringConstraints(pattern=r"^onnx$", max_length=32)] = "onnx"
    paused: bool = False
    notes: Annotated[str, StringConstraints(max_length=4096)] = ""


class RingProgress(ApiModel):
    """Counts of one ring's sites for this release; `unreachable` sites are in no other count."""

    name: Name
    sites: int = 0
    assigned: int = 0
    progressing: int = 0
    succeeded: int = 0
    failed: int = 0
    unreachable: int = 0
    completed_at: Timestamp | None = None


class FailedMetric(ApiModel):
    """Why a release came back: the metric, what was seen and what was allowed."""

    name: Annotated[str, StringConstraints(max_length=64)]
    observed: float | None = None
    limit: float | None = None
    site: Name | None = None
    message: Message = ""


class ModelReleaseStatus(ApiModel):
    observed_generation: int = -1
    conditions: tuple[Condition, ...] = ()
    phase: ReleasePhase = ReleasePhase.PENDING
    ring: str = ""
    rings: Annotated[tuple[RingProgress, ...], Field(max_length=32)] = ()
    # A plain string beside the whole metric, because printer columns can't format objects.
    failed_metric: FailedMetric | None = None
    reason: Annotated[str, StringConstraints(max_length=128)] = ""
    signature: Digest | None = None
    signer: Annotated[str, StringConstraints(max_length=512)] = ""
    started_at: Timestamp | None = None


class ModelRelease(ApiModel):
    metadata: ObjectMeta
    spec: ModelReleaseSpec
    status: ModelReleaseStatus = ModelReleaseStatus()
