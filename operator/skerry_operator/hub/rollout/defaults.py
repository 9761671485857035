"""The values that stand where a Model or a RolloutRing says nothing; resolved ones go to `status.effective`."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from skerry_api.v1alpha1.drift import DriftPolicy
from skerry_api.v1alpha1.fields import ApiModel
from skerry_api.v1alpha1.model import Analysis, LabelError, ModelEffective, ModelSpec, Rollback
from skerry_api.v1alpha1.rolloutring import RolloutRingEffective, RolloutRingSpec, RolloutStrategy
from skerry_core.assignment.document import AnalysisLimits
from skerry_core.drift.limits import DriftLimits
from skerry_core.labels.standing import MAX_AGE

_GUARDRAILS = {"max_trips": 3, "window": timedelta(minutes=1), "latency_limit": timedelta(milliseconds=500)}
_ANALYSIS = {
    "canary_fraction": 0.5,
    "interval": timedelta(seconds=5),
    "windows": 6,
    "failure_limit": 3,
    "min_samples": 200,
    "max_disagreement_excess": 0.05,
    "max_disagreement": 0.5,
    "max_error_rate": 0.01,
    "max_latency_ratio": 3.0,
    "latency_floor": timedelta(milliseconds=20),
    "guardrails": _GUARDRAILS,
}
# Of parts that nobody has who doesn't ask for them.
_WHERE_ASKED = {
    "labels": {
        "error": LabelError.MISMATCH,
        "min_labels": 30,
        "max_error_excess": 0.05,
        "max_age": MAX_AGE,
        "min_authority": 0,
    }
}
_ROLLBACK = {"keep": 1, "observation_window": timedelta(minutes=10)}
_STRATEGY = {
    "max_concurrency": 10,
    "max_failures": 0,
    "progress_deadline": timedelta(minutes=10),
    "min_success_time": timedelta(seconds=30),
}
_MIN_REPORTING = 100
EVIDENCE_MAX_AGE = timedelta(minutes=1)


def analysis_limits(analysis: Analysis | None) -> AnalysisLimits:
    """The limits that sites judge by."""
    return AnalysisLimits.model_validate(_resolve(_ANALYSIS, analysis))


def drift_limits(drift: DriftPolicy | None) -> DriftLimits:
    """By what sites call a column drifting."""
    return DriftLimits.model_validate({} if drift is None else drift.model_dump(exclude_none=True))


def effective_model(name: str, spec: ModelSpec) -> ModelEffective:
    """A Model's policy as it works; the served name is the object's, unless the spec says another."""
    return ModelEffective(
        served_name=spec.served_name or name,
        analysis=Analysis.model_validate(_resolve(_ANALYSIS, spec.analysis)),
        rollback=Rollback.model_validate(_resolve(_ROLLBACK, spec.rollback)),
        drift=DriftPolicy.model_validate(drift_limits(spec.drift).model_dump()),
    )


def effective_ring(spec: RolloutRingSpec) -> RolloutRingEffective:
    """A ring's policy as it works."""
    return RolloutRingEffective(
        rollout_strategy=RolloutStrategy.model_validate(_resolve(_STRATEGY, spec.rollout_strategy)),
        min_reporting=spec.min_reporting or _MIN_REPORTING,
        evidence_max_age=spec.evidence_max_age or EVIDENCE_MAX_AGE,
    )


def _resolve(defaults: Mapping[str, Any], given: ApiModel | None) -> dict[str, Any]:
    """Take what is given and fill in the rest, field by field, nested objects too."""
    resolved = dict(defaults)
    for name in type(given).model_fields if given else ():
        value = getattr(given, name)
        if isinstance(value, ApiModel):
            resolved[name] = _resolve(defaults.get(name) or _WHERE_ASKED.get(name, {}), value)
        elif value is not None:
            resolved[name] = value
    return resolved
