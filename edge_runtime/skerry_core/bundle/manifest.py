"""A release's manifest: what its author signs and what `ModelRelease.spec.digest` names."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field, StringConstraints

from skerry_api.v1alpha1.fields import ApiModel, Digest, Fraction, Name, SemVer, Timestamp
from skerry_core.bundle.training import Training
from skerry_core.features.definition import FeatureInput, FeatureSetRef

REFERENCE_MEDIA_TYPE = "application/vnd.skerry.bundle.v1+json"
PREDICATE_TYPE = "https://skerry.dev/model-manifest/v1"
MAX_MANIFEST_BYTES = 1 << 20
MAX_SIGNATURE_BYTES = 128 << 10  # a bundle is 5 to 10 KiB; its inclusion proof grows with the log's logarithm

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]


class FileEntry(ApiModel):
    """One file of the bundle; sizes in bytes."""

    path: FileName
    digest: Digest
    size: Annotated[int, Field(ge=0)]


class DataType(StrEnum):
    """Open Inference Protocol v2 tensor types that the runtime serves."""

    BOOL = "BOOL"
    INT32 = "INT32"
    INT64 = "INT64"
    FP32 = "FP32"
    FP64 = "FP64"


class TensorSpec(ApiModel):
    """A named input or output; -1 stands for any length (the batch dimension, as a rule the first)."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    datatype: DataType
    shape: Annotated[tuple[int, ...], Field(max_length=8)]


class DecisionKind(StrEnum):
    """How two answers are compared: by the index of the largest score, or within `tolerance`."""

    ARGMAX = "argmax"
    TOLERANCE = "tolerance"


class Decision(ApiModel):
    """What counts as agreement between champion and challenger on one row of `output`."""

    kind: DecisionKind
    output: str
    tolerance: float = 0.0


class ExpectedDisagreement(ApiModel):
    """What `skerry package` measured between this model and `baseline` on validation data; rate in [0, 1]."""

    baseline: Digest
    rate: Fraction
    samples: Annotated[int, Field(ge=1)]


class Runtime(ApiModel):
    """What the model needs to run."""

    ir_version: int
    opsets: dict[str, int]
    operators: tuple[str, ...]


class Manifest(ApiModel):
    """Everything about one version that its signature vouches for.

    `preprocessing_version` is that of the code that makes the inputs, if the author names one.
    """

    model: Name
    version: SemVer
    model_format: str = "onnx"
    created_at: Timestamp
    entrypoint: FileName
    files: Annotated[tuple[FileEntry, ...], Field(min_length=1, max_length=64)]
    inputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1, max_length=64)]
    outputs: Annotated[tuple[TensorSpec, ...], Field(min_length=1, max_length=64)]
    decision: Decision
    expected_disagreement: ExpectedDisagreement | None = None
    runtime: Runtime
    features: Annotated[tuple[FeatureInput, ...], Field(max_length=64)] = ()
    preprocessing_version: SemVer | None = None
    drift_baseline: FileName | None = None
    training: Training | None = None
    notes: str = ""

    def feature_sets(self) -> tuple[FeatureSetRef, ...]:
        """The feature sets that the inputs are filled from, each once, in the order of the inputs."""
        return tuple(dict.fromkeys(each.feature_set for each in self.features))

    def feature_set_digests(self) -> tuple[str, ...]:
        """The documents of these sets."""
        return tuple(dict.fromkeys(each.digest for each in self.feature_sets()))


class BlobRef(ApiModel):
    digest: Digest
    size: Annotated[int, Field(ge=0)]


class BundleReference(ApiModel):
    """The small object at `storageUri/bundle.json`, written last by `skerry push`: it makes the bundle whole."""

    media_type: str = REFERENCE_MEDIA_TYPE
    manifest: BlobRef
    signature: BlobRef
