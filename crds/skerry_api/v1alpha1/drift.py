"""Drift: how a Model's champion is watched, and what nodes, sites and the hub tell of it."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.fields import ApiModel, Digest, Measured, PositiveDuration, Timestamp

MAX_IGNORED = 16
MAX_REPORTED = 16
DRIFTING = "Drifting"
"""The condition of RuntimeNodes, EdgeSites and Models."""

ColumnName = Annotated[str, StringConstraints(min_length=1, max_length=96)]

_FAILURE_LIMIT = Rule(
    "(has(self.failureLimit) ? self.failureLimit : 3) <= (has(self.windows) ? self.windows : 6)",
    "failureLimit (3 unless set) can't be more than windows (6 unless set): no column could ever drift",
)


class DriftPolicy(ApiModel):
    """When a column of the champion's inputs or outputs counts as unlike the validation data; it rolls nothing back."""

    model_config = ConfigDict(json_schema_extra=rules(_FAILURE_LIMIT))

    interval: PositiveDuration | None = None
    """Least length of one window. Default: 10m."""
    windows: Annotated[int, Field(ge=1, le=100)] | None = None
    """Newest windows that are looked at. Default: 6."""
    failure_limit: Annotated[int, Field(ge=1, le=100)] | None = None
    """Windows, of the newest `windows`, in which a column that drifts is outside its limit. Default: 3."""
    min_samples: Annotated[int, Field(ge=50, le=1_000_000)] | None = None
    """Sampled rows that a window needs; it stays open until it has them. Default: 300."""
    max_psi: Annotated[float, Field(gt=0, le=100)] | None = None
    """Population stability index against the release's validation data that is too much. Default: 0.2."""
    ignored_columns: Annotated[
        tuple[ColumnName, ...], Field(max_length=MAX_IGNORED, json_schema_extra={"x-kubernetes-list-type": "set"})
    ] = ()
    """Columns that may differ, such as `time[0]`; named as in the conditions and metrics."""


class DriftState(StrEnum):
    """COLLECTING until a first window was judged."""

    COLLECTING = "Collecting"
    STABLE = "Stable"
    DRIFTING = "Drifting"


class DriftedColumn(ApiModel):
    """A column that is unlike the validation data."""

    name: ColumnName
    """Tensor and element, feature or figure, such as `scores[argmax]`."""
    psi: Measured = None
    """Population stability index of the newest window."""
    limit: Measured = None
    """What it may be at most."""


class DriftReport(ApiModel):
    """How what a release sees and answers compares with the validation data that it was packaged with."""

    state: DriftState
    """Collecting, Stable or Drifting."""
    digest: Digest | None = None
    """The release that is watched: the one that serves."""
    since: Timestamp | None = None
    """Since when these columns drift, or none does."""
    windows: Annotated[int, Field(ge=0)] = 0
    """Windows judged so far."""
    columns: Annotated[
        tuple[DriftedColumn, ...],
        Field(
            max_length=MAX_REPORTED,
            json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"]},
        ),
    ] = ()
    """The columns that drift, the worst first."""
    drifting_columns: Annotated[int, Field(ge=0)] = 0
    """How many there are."""
    nodes: Annotated[int, Field(ge=0)] = 0
    """In a site's report: nodes that drift."""
