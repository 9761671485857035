"""FeatureSet: typed, versioned features over the events of one stream, by entity."""

from enum import StrEnum
from typing import Annotated

from pydantic import ConfigDict, Field, StringConstraints

from skerry_api.v1alpha1.cel import Rule, rules
from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import (
    ApiModel,
    Digest,
    Duration,
    Fraction,
    Name,
    ObjectMeta,
    PositiveDuration,
    SemVer,
    Timestamp,
    map_by,
)
from skerry_api.v1alpha1.quantity import ByteCount, between

MAX_FIELDS = 64
MAX_FEATURES = 128
MAX_VECTOR = 1024
MAX_VERSIONS = 64
_IDENTIFIER = r"^[a-z][a-z0-9_]{0,62}$"
# Terms of a unit, so that what reads it meets no arithmetic: m/s, kW*h, mm/s^2, 1/min, degC, %. Of other letters micro
# (it has two), ohm (it too) and the degree sign.
_UNIT_LETTERS = "A-Za-z%\u00b5\u03bc\u03a9\u2126\u00b0"
_UNIT_NAME = rf"[{_UNIT_LETTERS}][{_UNIT_LETTERS}0-9_]*((\^|\*\*)-?[1-9])?"
UNIT_PATTERN = rf"^({_UNIT_NAME}|1)([*/]{_UNIT_NAME})*$"

FeatureName = Annotated[str, StringConstraints(pattern=_IDENTIFIER, max_length=63)]
FieldName = Annotated[str, StringConstraints(pattern=_IDENTIFIER, max_length=63)]
Path = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*){0,7}$", max_length=256)]
Expression = Annotated[str, StringConstraints(min_length=1, max_length=1024)]
Unit = Annotated[str, StringConstraints(pattern=UNIT_PATTERN, max_length=64)]
EntityCount = Annotated[int, Field(ge=1, le=100_000_000)]
StateBytes = Annotated[ByteCount, between("1Mi", "64Gi")]


class FieldType(StrEnum):
    """Type of a field; a number that isn't finite, or an integer of more than 64 bits, is refused.

    Int64 takes `5.0` for 5. Texts have at most 256 characters.
    """

    FLOAT64 = "Float64"
    INT64 = "Int64"
    BOOL = "Bool"
    STRING = "String"
    VECTOR = "Vector"


class Aggregation(StrEnum):
    """How a window's values become a feature.

    Numbers are computed with as float64: integers beyond 2^53 and sums are rounded once, and what lies beyond its range
    becomes the largest float64. Booleans are 1 and 0. Count, Rate and Health are 0, rather than NOT_FOUND, for an
    entity whose newest event is no older than `ttl`. Distinct and TopK tell texts, numbers and booleans apart.
    """

    COUNT = "Count"
    SUM = "Sum"
    MEAN = "Mean"
    MIN = "Min"
    MAX = "Max"
    STD = "Std"
    LAST = "Last"
    FIRST = "First"
    RECENCY = "Recency"
    RATE = "Rate"
    EWMA = "Ewma"
    DISTINCT = "Distinct"
    QUANTILE = "Quantile"
    HISTOGRAM = "Histogram"
    TOP_K = "TopK"
    HEALTH = "Health"
    EMBEDDING_LAST = "EmbeddingLast"
    EMBEDDING_MEAN = "EmbeddingMean"


class WindowKind(StrEnum):
    """Rolling: the panes up to the one that is running, that one included. Tumbling: the last window that is over."""

    ROLLING = "Rolling"
    TUMBLING = "Tumbling"


class OnStale(StrEnum):
    """What a read does with a feature that is NOT_FOUND or OUTSIDE_MAX_AGE."""

    DEFAULT = "Default"
    RECOMPUTE = "Recompute"
    REJECT = "Reject"


def _only_for(parameter: str, *aggregations: Aggregation) -> Rule:
    one = f"self.aggregation == '{aggregations[0]}'"
    return Rule(
        f"has(self.{parameter}) == ({one})", f"aggregation {aggregations[0]} needs {parameter}, and no other takes it"
    )


_VALUE = Rule(
    "has(self.value) || self.aggregation in ['Count', 'Rate', 'Recency', 'Health']",
    "a feature needs a value, a field's name or a CEL expression; only Count, Rate, Recency and Health need none",
)
_PARAMETERS = (
    _only_for("quantile", Aggregation.QUANTILE),
    _only_for("buckets", Aggregation.HISTOGRAM),
    _only_for("k", Aggregation.TOP_K),
    _only_for("halfLife", Aggregation.EWMA),
    _only_for("interval", Aggregation.HEALTH),
)
_LENGTH = Rule(
    "!has(self.length) || self.aggregation in ['EmbeddingLast', 'EmbeddingMean']",
    "length is for EmbeddingLast and EmbeddingMean",
)
_DEFAULT = Rule(
    "!has(self.onStale) || self.onStale != 'Default' || has(self.default)", "onStale Default needs a default"
)
_VECTOR_LENGTH = Rule("has(self.length) == (self.type == 'Vector')", "type Vector needs length, and no other takes it")
_NUMBERS_ONLY = Rule(
    "self.type in ['Float64', 'Int64', 'Vector']"
    " || !(has(self.unit) || has(self.sourceUnit) || has(self.minimum) || has(self.maximum))",
    "only Float64, Int64 and Vector have units, minimum and maximum",
)
_RANGE = Rule(
    "!has(self.minimum) || !has(self.maximum) || self.minimum <= self.maximum", "minimum can't be more than maximum"
)
_UNIT_FROM = Rule(
    "has(self.unitFrom) == has(self.sourceUnits)",
    "unitFrom needs sourceUnits, which it may name, and no other takes it",
)
_UNIT_OF_FLOATS = Rule(
    "!has(self.unitFrom) || (has(self.unit) && self.type in ['Float64', 'Vector'])",
    "only a Float64 or a Vector with a unit to be brought to takes unitFrom",
)
_TO_A_UNIT = Rule("!has(self.sourceUnit) || has(self.unit)", "sourceUnit needs a unit to be brought to")
_FIXED = Rule(
    "self.version != oldSelf.version || self == oldSelf",
    "what a version says can't be changed: models were trained on it; give spec.version a new one",
)


class FeatureEntity(ApiModel):
    """A part of the key by which features are kept and asked for, such as a press."""

    name: FieldName
    """What requests call it: parameter `entity`, or `entity.NAME` where there are several."""
    path: Path
    """Where it is in the event: `subject`, `source`, below `data`, or below `device`. A text or an integer."""


class SchemaField(ApiModel):
    """A field of the stream's events; one that is missing, of another type or implausible makes a dead letter."""

    model_config = ConfigDict(
        json_schema_extra=rules(_VECTOR_LENGTH, _NUMBERS_ONLY, _RANGE, _TO_A_UNIT, _UNIT_FROM, _UNIT_OF_FLOATS)
    )

    name: FieldName
    """What expressions call it."""
    path: Path | None = None
    """Where it is in the event. Default: `data.NAME`.

    `device.NAME` is what the site's registry said of the event's device, in streams that have a devicePath.
    """
    type: FieldType
    """Float64, Int64, Bool, String, or Vector (of numbers)."""
    unit: Unit | None = None
    """Unit in which the field counts, such as `mm/s` or `degC`."""
    source_unit: Unit | None = None
    """Unit in which producers send it; the same as `unit` unless set. With `unitFrom`: of events that tell none."""
    unit_from: Annotated[tuple[Path, ...], Field(min_length=1, max_length=4)] | None = None
    """Where the unit is told, by the first that is there: `data.unit`, or `device.units.rms` of the site's registry."""
    source_units: (
        Annotated[
            tuple[Unit, ...], Field(min_length=1, max_length=16, json_schema_extra={"x-kubernetes-list-type": "set"})
        ]
        | None
    ) = None
    """Units that may be told there, spelled alike. Another makes a dead letter, as does none without `sourceUnit`."""
    minimum: float | None = None
    """Least plausible value, in `unit`."""
    maximum: float | None = None
    """Greatest plausible value, in `unit`."""
    required: bool | None = None
    """Whether an event without it is a dead letter. Default: true."""
    length: Annotated[int, Field(ge=1, le=MAX_VECTOR)] | None = None
    """Numbers in a Vector."""


class FeatureSource(ApiModel):
    """Where the events come from, and what is in them."""

    stream: Name
    """Stream of a SyncPolicy, or one of Skerry's own; its events are read on the node that took them in."""
    # `schema` is what pydantic calls a method of its own.
    fields: Annotated[
        tuple[SchemaField, ...], Field(max_length=MAX_FIELDS, alias="schema", json_schema_extra=map_by("name"))
    ] = ()
    """Fields that features are made of."""


class FeatureWindowSpec(ApiModel):
    """Stretch of event time that a feature is made of."""

    kind: WindowKind | None = None
    """Rolling: up to now, with the pane that is running. Tumbling: the last one that is over. Default: Rolling."""
    size: PositiveDuration
    """Length of the window, in whole milliseconds."""
    pane: PositiveDuration | None = None
    """Step in which a window moves; `size` is at most 512 of them. Default: a tenth of it; all of it if Tumbling."""


class FeatureSpec(ApiModel):
    """One feature."""

    model_config = ConfigDict(json_schema_extra=rules(_VALUE, *_PARAMETERS, _LENGTH, _DEFAULT))

    name: FeatureName
    """What models' inputs call it."""
    aggregation: Aggregation
    """How the window's values become one: Count, Mean, Quantile, TopK, EmbeddingMean and so on."""
    value: Expression | None = None
    """What is aggregated: a field's name, or a CEL expression over fields, such as `rms * rms`."""
    filter: Expression | None = None
    """Which events count: a CEL condition over fields, such as `state == 'run'`. All unless set."""
    window: FeatureWindowSpec
    """Stretch of event time."""
    ttl: PositiveDuration | None = None
    """How long after its newest event a value is PRESENT, or after reference data in it were right, if that is earlier.

    Default: the window's size.
    """
    on_stale: OnStale | None = None
    """What becomes of a value that isn't: Default, Recompute, Reject. The first if there is a default, else Reject.

    Recompute first counts what is in the node's log but not counted yet, for at most 0.2 s; then as if it weren't set.
    """
    default: float | None = None
    """Value while there is none that counts."""
    quantile: Fraction | None = None
    """Which one, 0 to 1, of Quantile.

    Within 1 % while the window's values fall in at most 1024 buckets, 50 an octave: so they do over six decades of one
    sign, or three of each. In up to twice as many it is 2 %, and so on.
    """
    buckets: Annotated[tuple[float, ...], Field(min_length=1, max_length=256)] | None = None
    """Upper bounds of Histogram, ascending; the feature is a vector of one more."""
    k: Annotated[int, Field(ge=1, le=100)] | None = None
    """How many counts TopK gives, the largest first.

    Exact up to 512 different values in the window. Of more they are estimated (count-min): each is too high by at most
    0.27 % of the window's events, but for about one value in fifty.
    """
    half_life: PositiveDuration | None = None
    """Age at which a value counts half in Ewma."""
    interval: PositiveDuration | None = None
    """How often Health expects an event."""
    length: Annotated[int, Field(ge=1, le=MAX_VECTOR)] | None = None
    """Numbers in an embedding; the field's own unless set."""


class FeatureLimits(ApiModel):
    """What a node spends on the set; beyond it the entities with no event for longest are evicted, and counted."""

    max_entities: EntityCount | None = None
    """Entities that are kept. Default: 100000."""
    max_bytes: StateBytes | None = None
    """Bytes of state that are kept. Default: 256Mi."""


class FeatureSetContent(ApiModel):
    """All that one version of a set says."""

    version: SemVer
    """Semantic version, such as 1.2.0, of all that is said here: a change of anything needs another one."""
    entities: Annotated[tuple[FeatureEntity, ...], Field(min_length=1, max_length=4, json_schema_extra=map_by("name"))]
    """What features are about; their order is that of the key."""
    source: FeatureSource
    """The events."""
    allowed_lateness: Duration | None = None
    """Events that came later than this after they happened are left out. Default: 5m."""
    features: Annotated[
        tuple[FeatureSpec, ...], Field(min_length=1, max_length=MAX_FEATURES, json_schema_extra=map_by("name"))
    ]
    """The features."""
    limits: FeatureLimits | None = None
    """What one node may spend on the set."""


class FeatureSetSpec(FeatureSetContent):
    model_config = ConfigDict(json_schema_extra=rules(_FIXED))


class FeatureSetEffective(FeatureSetContent):
    """A published version with every default resolved."""


class PublishedVersion(ApiModel):
    """A version that releases can name."""

    version: SemVer
    """The version."""
    digest: Digest
    """Digest of its document, as signed manifests name it."""
    published_at: Timestamp
    """When the hub first published it."""


class FeatureSetStatus(Status):
    digest: Digest | None = None
    """Digest of the document of `spec.version`, once it is published."""
    versions: Annotated[
        tuple[PublishedVersion, ...], Field(max_length=MAX_VERSIONS, json_schema_extra=map_by("version"))
    ] = ()
    """Published versions, the newest last; of many, those that no release names go first."""
    effective: FeatureSetEffective | None = None
    """The published version with every default resolved."""


class FeatureSet(ApiModel):
    """Typed, versioned features of a stream's events. Deleting it changes no site: releases name versions by digest."""

    metadata: ObjectMeta
    spec: FeatureSetSpec
    """What features there are, and what they are made of."""
    status: FeatureSetStatus = FeatureSetStatus()
    """Which versions releases can name."""
