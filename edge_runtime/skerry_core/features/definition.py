"""What one version of a FeatureSet says, with every default resolved: the content of the blob that its digest names.

The hub resolves and publishes it (`skerry_operator.hub.feature_set`); nodes, `skerry package` and `skerry features
build` compute with the same document, so that what a model was trained on is what it is served.

Terms are Feast's (entities, ttl, PRESENT, NOT_FOUND, OUTSIDE_MAX_AGE). Time is event time in microseconds since 1970
UTC unless it says otherwise.

A window is made of *panes*: stretches of event time, `pane` long and aligned to 1970. What is kept of a pane doesn't
depend on the order in which its events came in, and panes are merged in the order of time; so a value is the same,
bit for bit, wherever and whenever it is computed from the same events.
"""

from enum import StrEnum
from typing import Annotated, Self

from pydantic import Field, model_validator

from skerry_api.v1alpha1.featureset import (
    MAX_FEATURES,
    MAX_FIELDS,
    MAX_VECTOR,
    Aggregation,
    Expression,
    FeatureName,
    FieldName,
    FieldType,
    OnStale,
    Path,
    WindowKind,
)
from skerry_api.v1alpha1.fields import ApiModel, Digest, Duration, Name, SemVer
from skerry_core.devices import ALONG, reads_device

# A document is made of the kind's words, so who reads one finds them here too.
__all__ = [
    "MAX_DOCUMENT_BYTES",
    "MAX_FEATURES",
    "MAX_FIELDS",
    "MAX_PANES",
    "MAX_VECTOR",
    "SCHEMA_VERSION",
    "Aggregation",
    "Conversion",
    "Entity",
    "Expression",
    "Feature",
    "FeatureInput",
    "FeatureName",
    "FeatureSetDocument",
    "FeatureSetRef",
    "FeatureWindow",
    "FieldName",
    "FieldType",
    "Limits",
    "OnRejected",
    "OnStale",
    "Path",
    "SourceField",
    "ToldUnit",
    "WindowKind",
]

SCHEMA_VERSION = 2
"""Newest grammar and arithmetic of this document; a node that doesn't know a document's refuses the set by name.

A document has the oldest that says what it says, so that what doesn't need a newer one keeps its digest. 2 adds
`told_unit`.
"""
MAX_DOCUMENT_BYTES = 65_536
MAX_PANES = 512
"""Panes of one window: what bounds the work of one read."""


class Entity(ApiModel):
    """A part of the key: a path in the event (`source`, `subject`, `data.press`) to a text or an integer.

    An integer is the same key as its decimal text; see `entity_key`.
    """

    name: FieldName
    path: Path


class Conversion(ApiModel):
    """A value of `unit`, times `factor`, plus `offset`, is one of the field's unit."""

    unit: str
    factor: float
    offset: float


class ToldUnit(ApiModel):
    """An event tells the unit of a field itself: the first of `paths` that leads to something says which conversion.

    Of an event that tells none the field's own factor and offset hold, or, where `required`, it is a dead letter.
    """

    paths: Annotated[tuple[Path, ...], Field(min_length=1, max_length=4)]
    conversions: Annotated[tuple[Conversion, ...], Field(min_length=1, max_length=16)]
    required: bool


class SourceField(ApiModel):
    """A field of the events: `path` leads to it, such as `data.rms`.

    Values are taken times `factor` plus `offset`, from the producer's unit to `unit` (both computed once, when the set
    was published); `minimum` and `maximum`, inclusive and in `unit`, bound what is plausible. A value that is missing
    where `required`, of another type, or implausible makes its event a dead letter. `length` is a vector's.
    """

    name: FieldName
    path: Path
    type: FieldType
    unit: str = ""
    factor: float = 1.0
    offset: float = 0.0
    minimum: float | None = None
    maximum: float | None = None
    required: bool = True
    length: Annotated[int, Field(ge=1, le=MAX_VECTOR)] | None = None
    told_unit: ToldUnit | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """All that is looked at in an event."""
        return (self.path, *(() if self.told_unit is None else self.told_unit.paths))


class FeatureWindow(ApiModel):
    """`size` is a whole number of panes, at most MAX_PANES; a tumbling window's pane is its size, as a rule."""

    kind: WindowKind
    size: Duration
    pane: Duration

    @model_validator(mode="after")
    def _whole(self) -> Self:
        panes, rest = divmod(self.size, self.pane)
        if rest or not 1 <= panes <= MAX_PANES:
            raise ValueError(f"a window is 1 to {MAX_PANES} whole panes")
        return self


class Feature(ApiModel):
    """One feature. `value` and `filter` are CEL over the fields' names; without `filter` every event counts.

    Parameters by aggregation: `quantile` (Quantile, in [0, 1]; the lower one, as near as `accumulators.sketch` says),
    `buckets` (Histogram, upper bounds, ascending; the feature is a vector of len + 1 counts), `k` (TopK; the feature is
    a vector of the k largest counts, descending, beyond 512 values as near as `accumulators.count_min` says),
    `half_life` (Ewma), `interval` (Health: how often an event is expected; the feature is the share of them that came,
    at most 1), `length` (Embedding…).
    Std is that of a population. Recency is in seconds; Rate is events a second. Without a `default` a stale feature is
    rejected, whatever `on_stale` says. `ttl` is how long after its newest event a value is PRESENT, or after reference
    data in it were right, if that is earlier.
    """

    name: FeatureName
    aggregation: Aggregation
    value: Expression | None = None
    filter: Expression | None = None
    window: FeatureWindow
    ttl: Duration
    on_stale: OnStale
    default: float | None = None
    quantile: Annotated[float, Field(ge=0, le=1)] | None = None
    buckets: Annotated[tuple[float, ...], Field(max_length=256)] = ()
    k: Annotated[int, Field(ge=1, le=100)] | None = None
    half_life: Duration | None = None
    interval: Duration | None = None
    length: Annotated[int, Field(ge=1, le=MAX_VECTOR)] | None = None


class Limits(ApiModel):
    """What one node spends on the set; beyond it the entities with no event for longest are evicted, and counted."""

    max_entities: Annotated[int, Field(ge=1)]
    max_bytes: Annotated[int, Field(ge=1)]


class FeatureSetDocument(ApiModel):
    """One version of a FeatureSet. Events that came later than `allowed_lateness` after they happened are left out."""

    schema_version: int = 1
    namespace: Name
    name: Name
    version: SemVer
    entities: Annotated[tuple[Entity, ...], Field(min_length=1, max_length=4)]
    stream: Name
    fields: Annotated[tuple[SourceField, ...], Field(max_length=MAX_FIELDS)]
    allowed_lateness: Duration
    features: Annotated[tuple[Feature, ...], Field(min_length=1, max_length=MAX_FEATURES)]
    limits: Limits

    @property
    def paths(self) -> tuple[str, ...]:
        """All that is looked at in an event, each once, the key's parts first."""
        own = [each.path for each in self.entities] + [path for each in self.fields for path in each.paths]
        return tuple(dict.fromkeys([*own, *(ALONG if reads_device(own) else ())]))


class FeatureSetRef(ApiModel):
    """A version of a FeatureSet: `digest` names the canonical bytes of its document."""

    namespace: Name
    name: Name
    version: SemVer
    digest: Digest


class OnRejected(StrEnum):
    """What a model does when a feature of `onStale: Reject` is stale: refuse the request, or take the defaults."""

    ERROR = "Error"
    DEFAULTS = "Defaults"


class FeatureInput(ApiModel):
    """In a release's signed manifest: model input `input`, of shape [-1, n], is filled from a feature set.

    `features` are its columns in order; a vector feature takes as many columns as it has values. A client may give the
    tensor itself only where `client_may_give`.
    """

    input: Annotated[str, Field(min_length=1, max_length=256)]
    feature_set: FeatureSetRef
    features: Annotated[tuple[FeatureName, ...], Field(min_length=1, max_length=MAX_FEATURES)]
    on_rejected: OnRejected = OnRejected.ERROR
    client_may_give: bool = False
