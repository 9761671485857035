"""Model: a served name and the policy by which its releases go out."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.drift import DriftPolicy
from skerry_api.v1alpha1.fields import (
    ApiModel,
    Digest,
    Duration,
    Fraction,
    Name,
    ObjectMeta,
    ObjectName,
    PositiveDuration,
    SemVer,
    Timestamp,
)
from skerry_api.v1alpha1.selector import LabelSelector

# The rules repeat the defaults, so that setting one of the two fields can't contradict the other's default.
_OUTPUT_RANGE = Rule(
    "!has(self.outputMin) || !has(self.outputMax) || self.outputMin < self.outputMax",
    "outputMin must be less than outputMax",
)
_FAILURE_LIMIT = Rule(
    "(has(self.failureLimit) ? self.failureLimit : 3) <= (has(self.windows) ? self.windows : 6)",
    "failureLimit (3 unless set) can't be more than windows (6 unless set): the canary could never fail",
)
_DISAGREEMENT = Rule(
    "(has(self.maxDisagreementExcess) ? self.maxDisagreementExcess : 0.05)"
    " <= (has(self.maxDisagreement) ? self.maxDisagreement : 0.5)",
    "maxDisagreementExcess (0.05 unless set) can't be more than maxDisagreement (0.5 unless set)",
)


_ERROR_EXCESS = Rule(
    "!has(self.error) || self.error != 'Absolute' || has(self.maxErrorExcess)",
    "error Absolute needs maxErrorExcess, which is in the unit of the model's own output",
)


# A misspelt field is dropped by clients that don't check; what is left must not mean every site.
_SOME_SITES = Rule(
    "(has(self.matchLabels) && self.matchLabels.size() > 0)"
    " || (has(self.matchExpressions) && self.matchExpressions.size() > 0)",
    "removeFrom needs a label or an expression; for all sites, say that a label which none has DoesNotExist",
)


class LabelError(StrEnum):
    """How wrong an answer is, by the label that comes for it."""

    MISMATCH = "Mismatch"
    ABSOLUTE = "Absolute"


class Labels(ApiModel):
    """What labels that come late must say before a challenger is promoted."""

    model_config = ConfigDict(json_schema_extra=rules(_ERROR_EXCESS))

    error: LabelError | None = None
    """A row's error: 1 if label and answer differ (Mismatch), or their distance (Absolute). Default: Mismatch."""
    min_labels: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Labelled rows that both must have answered; with fewer there is no verdict. Default: 30."""
    max_error_excess: Annotated[float, Field(ge=0, le=1_000_000)] | None = None
    """Mean error of the challenger above the champion's, on the same rows. Default: 0.05 of Mismatch."""
    max_age: PositiveDuration | None = None
    """How long after its prediction a label may come to be of use for training. Default: 720h."""
    min_authority: Annotated[int, Field(ge=0, le=9)] | None = None
    """Least authority that a label must have to count. Default: 0."""


class Guardrails(ApiModel):
    """Limits on single requests; the champion answers whatever request trips one."""

    model_config = ConfigDict(json_schema_extra=rules(_OUTPUT_RANGE))

    max_trips: Annotated[int, Field(ge=1, le=1000)] | None = None
    """Tripped guardrails within `window` with which the canary ends. Default: 3."""
    window: PositiveDuration | None = None
    """Time over which trips are counted. Default: 1m."""
    output_min: float | None = None
    """Least value that any number of an answer may have; no limit unless set."""
    output_max: float | None = None
    """Greatest value that any number of an answer may have; no limit unless set."""
    latency_limit: PositiveDuration | None = None
    """Time after which the champion's answer is sent instead of the challenger's. Default: 500ms."""


class Analysis(ApiModel):
    """How a challenger is judged against the champion on the same requests."""

    model_config = ConfigDict(json_schema_extra=rules(_FAILURE_LIMIT, _DISAGREEMENT))

    canary_fraction: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of requests, above 0 and up to 1, that both champion and challenger run. Default: 0.5."""
    interval: PositiveDuration | None = None
    """Length of one window of evidence. Default: 5s."""
    windows: Annotated[int, Field(ge=1, le=100)] | None = None
    """Newest windows that are looked at. Default: 6."""
    failure_limit: Annotated[int, Field(ge=1, le=100)] | None = None
    """Failed windows, of the newest `windows`, with which the challenger has failed. Default: 3."""
    min_samples: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    """Requests that both must have run before there is a verdict. Guardrails don't wait. Default: 200."""
    max_disagreement_excess: Fraction | None = None
    """Disagreement with the champion above what packaging measured on validation data, 0 to 1. Default: 0.05."""
    max_disagreement: Fraction | None = None
    """Disagreement with the champion that is too much whatever was measured, 0 to 1. Default: 0.5."""
    max_error_rate: Fraction | None = None
    """Share of the challenger's requests that may fail, 0 to 1. Default: 0.01."""
    max_latency_ratio: Annotated[float, Field(ge=1, le=1000)] | None = None
    """Median ratio of the challenger's latency to the champion's on the same requests. Default: 3."""
    latency_floor: Duration | None = None
    """Median difference of latency up to which the ratio doesn't matter. Default: 20ms."""
    labels: Labels | None = None
    """What late labels must say. Unless set no verdict waits for any."""
    guardrails: Guardrails | None = None
    """Hard limits on single requests, applied within the request."""


class Rollback(ApiModel):
    """What is kept so that there is a way back."""

    keep: Annotated[int, Field(ge=1, le=10)] | None = None
    """Earlier releases that stay on every node's disk. Default: 1."""
    observation_window: PositiveDuration | None = None
    """Time after a promotion during which the earlier release stays loaded. Default: 10m."""


class SitesToLeave(LabelSelector):
    """Sites that give the model up, by labels of EdgeSites; an empty selector is refused."""

    model_config = ConfigDict(json_schema_extra=rules(_SOME_SITES))


class ModelSpec(ApiModel):
    served_name: Name | None = None
    """Name in the inference URL, `/v2/models/NAME/infer`; the object's name unless set. The first claim wins."""
    site_selector: LabelSelector = LabelSelector()
    """Sites, by labels of EdgeSites, that run the model; all of them unless set."""
    remove_from: SitesToLeave | None = None
    """Sites that give the model up, by labels of EdgeSites, whatever siteSelector says. Nothing else ends it there."""
    rings: Annotated[tuple[Name, ...], Field(max_length=32, json_schema_extra={"x-kubernetes-list-type": "set"})] = ()
    """RolloutRings that a release passes through, in the order that the rings themselves give; all unless set."""
    analysis: Analysis | None = None
    """When a new release is good enough, judged at each site on live requests."""
    rollback: Rollback | None = None
    """What is kept so that there is a way back."""
    drift: DriftPolicy | None = None
    """When what sites see and answer counts as unlike the validation data. It is told, and rolls nothing back."""


class ApprovedRelease(ApiModel):
    """A release kept whole, so that pruning it in Git never loses the way back."""

    release: ObjectName
    """Name of the ModelRelease, which may be gone by now."""
    version: SemVer
    """Its version."""
    digest: Digest
    """Digest of its manifest."""
    signature: Digest
    """Digest of the sigstore bundle over its manifest."""
    storage_uri: Annotated[str, StringConstraints(max_length=512)]
    """Where it was pushed to."""
    approved_at: Timestamp
    """When it had passed every ring."""


class ModelEffective(ApiModel):
    """The policy with every default resolved."""

    served_name: Name
    """Name in the inference URL."""
    analysis: Analysis
    """What releases are judged by."""
    rollback: Rollback
    """What is kept."""
    drift: DriftPolicy | None = None
    """What counts as drift."""


class ModelStatus(Status):
    approved: ApprovedRelease | None = None
    """The newest release that passed every ring: what a site serves unless a newer one is on its way to it."""
    previous: ApprovedRelease | None = None
    """The release approved before."""
    effective: ModelEffective | None = None
    """The policy with every default resolved."""


class Model(ApiModel):
    """A served name, the sites that run it, and the policy by which its releases go out to them."""

    metadata: ObjectMeta
    spec: ModelSpec
    """What is served where, and how its releases are judged."""
    status: ModelStatus = ModelStatus()
    """What is approved, and the policy in force."""
