"""What a site is told, whole: the payload of a SiteAssignment's signed envelope (at most 8 KiB)."""

from typing import Annotated

from pydantic import Field

from skerry_api.v1alpha1.fields import ApiModel, Digest, Duration, Fraction, Name, SemVer, Timestamp
from skerry_api.v1alpha1.model import LabelError
from skerry_api.v1alpha1.siteassignment import Serial
from skerry_api.v1alpha1.siteclass import RuntimeResources
from skerry_core.drift.limits import DriftLimits

PAYLOAD_TYPE = "application/vnd.skerry.assignment.v1+json"
MAX_PAYLOAD_BYTES = 8192


class ReleaseRef(ApiModel):
    """One release, by digests: `digest` of its manifest, `signature` of the sigstore bundle over it."""

    release: str
    version: SemVer
    digest: Digest
    signature: Digest


class GuardrailLimits(ApiModel):
    """Limits on one request's answer by the challenger; after `max_trips` in `window` the canary ends."""

    max_trips: int
    window: Duration
    latency_limit: Duration
    output_min: float | None = None
    output_max: float | None = None


class LabelLimits(ApiModel):
    """What labels must say of a challenger before it is promoted.

    On at least `min_labels` labelled rows that both ran, its mean error may be greater than the champion's by
    `max_error_excess`. Only labels of `min_authority` count; one that comes within `max_age` is of use for training.
    """

    error: LabelError
    min_labels: int
    max_error_excess: float
    max_age: Duration
    min_authority: int


class AnalysisLimits(ApiModel):
    """A Model's analysis with every default resolved; times are durations, rates are fractions of pairs.

    A latency window fails when the median ratio challenger/champion on the same requests is above
    `max_latency_ratio` and the median difference is above `latency_floor`; the verdict fails when `failure_limit` of
    the last `windows` windows, `interval` long each, did. Without `labels` no verdict waits for any.
    """

    canary_fraction: Fraction
    interval: Duration
    windows: int
    failure_limit: int
    min_samples: int
    max_disagreement_excess: Fraction
    max_disagreement: Fraction
    max_error_rate: Fraction
    max_latency_ratio: float
    latency_floor: Duration
    guardrails: GuardrailLimits
    labels: LabelLimits | None = None


class ModelAssignment(ApiModel):
    """One model at this site: serve `target`; until it proves itself, or if it can't, serve `approved`.

    `approved` is the last release that passed every ring (absent before the first). `quarantined` digests may not run;
    a node that serves one swaps back to `approved` at once, without a canary.
    Without `drift` the defaults of DriftLimits hold: the document is small.
    """

    namespace: Name
    name: Name
    served_name: Name
    target: ReleaseRef
    approved: ReleaseRef | None = None
    analysis: AnalysisLimits
    drift: DriftLimits | None = None
    quarantined: Annotated[tuple[Digest, ...], Field(max_length=64)] = ()


class RuntimeTemplate(ApiModel):
    """What the runtime's pod template depends on; nothing else may change it."""

    image: str
    resources: RuntimeResources


class RemovedModel(ApiModel):
    """A model that this site is to give up: it answers no more, and what was kept of it goes."""

    namespace: Name
    name: Name


class AssignmentDocument(ApiModel):
    """Everything one site is told. A model that is missing changes nothing; only `removals` removes.

    `trust_policy` and `sync_policy` are digests of blobs: of a sealed envelope, and of the canonical bytes of a
    `SyncPolicyDocument`. Without a sync policy nodes go on with the last one that they had, and with the default one
    if they never had any. `feature_sets` has digests of those that the approved and target releases were trained on;
    what they are called is in the releases' manifests, so that a site may have many.
    """

    site: Name
    serial: Serial
    issued_at: Timestamp
    trust_policy: Digest
    sync_policy: Digest | None = None
    feature_sets: tuple[Digest, ...] = ()
    runtime: RuntimeTemplate
    models: tuple[ModelAssignment, ...]
    removals: tuple[RemovedModel, ...] = ()
