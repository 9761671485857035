"""ModelRelease: one immutable signed version of a model. Creating one starts its rollout."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, immutable, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ApiModel, Digest, Measured, Message, Name, ObjectMeta, SemVer, Timestamp

_WHY = "a release is one signed version; create a new ModelRelease instead"
MAX_FEATURE_SETS = 8


def _same(field: str) -> Rule:
    """On the whole spec, as a rule on an optional field isn't checked when the field comes or goes."""
    return Rule(
        f"has(self.{field}) == has(oldSelf.{field}) && (!has(self.{field}) || self.{field} == oldSelf.{field})",
        f"spec.{field} can't be changed: {_WHY}",
    )


class ReleasePhase(StrEnum):
    """Where a release stands; Approved, RolledBack and Superseded are final."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    PAUSED = "Paused"
    APPROVED = "Approved"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    REFUSED = "Refused"


class FeatureSetVersion(ApiModel):
    """One version of a FeatureSet in the release's namespace."""

    name: Name
    """Name of the FeatureSet."""
    version: SemVer
    """Its version, such as 1.2.0."""


class ModelReleaseSpec(ApiModel):
    model_config = ConfigDict(json_schema_extra=rules(_same("featureSets"), _same("preprocessingVersion")))

    model: Annotated[Name, Field(json_schema_extra=immutable(f"spec.model can't be changed: {_WHY}"))]
    """Name of the Model, in this namespace, that this is a version of. Can't be changed."""
    version: Annotated[SemVer, Field(json_schema_extra=immutable(f"spec.version can't be changed: {_WHY}"))]
    """Semantic version, such as 1.4.0; the signed manifest must say the same. Can't be changed."""
    storage_uri: Annotated[
        str,
        StringConstraints(pattern=r"^(s3|file)://.+", max_length=512),
        Field(json_schema_extra=immutable(f"spec.storageUri can't be changed: {_WHY}")),
    ]
    """Where `skerry push` put the bundle, such as s3://skerry/models/har/1.4.0. Can't be changed."""
    digest: Annotated[Digest, Field(json_schema_extra=immutable(f"spec.digest can't be changed: {_WHY}"))]
    """Digest of the signed manifest, as `skerry push` prints it. Can't be changed."""
    feature_sets: Annotated[
        tuple[FeatureSetVersion, ...],
        Field(
            max_length=MAX_FEATURE_SETS,
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name", "version"],
            },
        ),
    ] = ()
    """FeatureSets that the signed manifest names, each with the version the model was trained on. Can't be changed."""
    preprocessing_version: SemVer | None = None
    """Version of the code that makes the model's inputs; the signed manifest must say the same. Can't be changed."""
    model_format: Literal["onnx"] = "onnx"
    """Format of the model file: onnx."""
    paused: bool = False
    """Start no further site with this release; sites that have it keep it."""
    notes: Annotated[str, StringConstraints(max_length=4096)] = ""
    """What changes in behaviour, for people."""


class RingProgress(ApiModel):
    """Counts of one ring's sites for this release; `unreachable` sites are in no other count."""

    name: Name
    """The RolloutRing."""
    sites: Annotated[int, Field(ge=0)] = 0
    """Sites of the ring that run the model."""
    assigned: Annotated[int, Field(ge=0)] = 0
    """Sites that were told to take the release."""
    progressing: Annotated[int, Field(ge=0)] = 0
    """Sites that are fetching, checking or trying it."""
    succeeded: Annotated[int, Field(ge=0)] = 0
    """Sites that have answered requests with it for long enough."""
    failed: Annotated[int, Field(ge=0)] = 0
    """Sites that rolled it back, refused it, or took too long while reachable."""
    unreachable: Annotated[int, Field(ge=0)] = 0
    """Sites that haven't reported for too long: neither failed nor counted."""
    completed_at: Timestamp | None = None
    """When the release passed the ring."""


class FailedMetric(ApiModel):
    """Why a release came back: the metric, what was seen and what was allowed."""

    name: Annotated[str, StringConstraints(max_length=64)]
    """The metric's name, such as Disagreement or LatencyRatio."""
    observed: Measured = None
    """What was seen; absent when it isn't a number."""
    limit: Measured = None
    """What was allowed."""
    site: Name | None = None
    """Site that saw it first."""
    message: Message = ""
    """What happened, for people."""


class ModelReleaseStatus(Status):
    phase: ReleasePhase = ReleasePhase.PENDING
    """Pending, Progressing, Paused, Approved, RolledBack, Superseded (a newer one came first) or Refused."""
    ring: Annotated[str, StringConstraints(max_length=63)] = ""
    """RolloutRing that the release has got to."""
    rings: Annotated[
        tuple[RingProgress, ...],
        Field(
            max_length=32,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """How far each ring is, in their order."""
    failed_metric: FailedMetric | None = None
    """Why the release came back, if it did."""
    # A plain string beside the whole metric, because printer columns can't format objects.
    reason: Annotated[str, StringConstraints(max_length=128)] = ""
    """Name of the failed metric, or why the release doesn't move on."""
    signature: Digest | None = None
    """Digest of the sigstore bundle over the manifest."""
    signer: Annotated[str, StringConstraints(max_length=512)] = ""
    """Identity that signed, once the hub has verified it."""
    started_at: Timestamp | None = None
    """When the first site was told to take the release."""


class ModelRelease(ApiModel):
    """One immutable signed version of a model; creating one starts its rollout, ring by ring."""

    metadata: ObjectMeta
    spec: ModelReleaseSpec
    """Which signed bundle this is; all of it but `paused` and `notes` is fixed."""
    status: ModelReleaseStatus = ModelReleaseStatus()
    """How far its rollout is, and why it stopped."""
