"""Compiles a document into a plan: which columns are read, and which accumulators each pane holds.

Features share: two of the same value and filter read one column, and two that need the same of it in panes of one
length keep it once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal
from functools import cached_property

from skerry_core.devices import reads_device
from skerry_core.errors import UserMustActError
from skerry_core.features.accumulators.kinds import PARTS, Kind, build
from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.columns import ColumnKind, ColumnPlan
from skerry_core.features.definition import (
    SCHEMA_VERSION,
    Aggregation,
    Feature,
    FeatureSetDocument,
    FieldType,
    WindowKind,
)
from skerry_core.features.expressions import RESERVED, Expression
from skerry_core.features.normalize import Normalizer
from skerry_core.micros import micros_in

# The schema version that brought units which events tell: an engine for an older one would pass over them.
_TOLD_UNITS = 2
# Panes beyond what windows reach back, so that a few absurd times cost no window anything.
_SPARE_PANES = 2
_PLACES = Context(prec=50)

_EMBEDDINGS = frozenset({Aggregation.EMBEDDING_LAST, Aggregation.EMBEDDING_MEAN})
_IDENTITIES = frozenset({Aggregation.DISTINCT, Aggregation.TOP_K})
_PRESENCES = frozenset({Aggregation.COUNT, Aggregation.RATE, Aggregation.RECENCY, Aggregation.HEALTH})


class UnsupportedSchemaError(UserMustActError):
    """The document's grammar is of a version that this engine doesn't know."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(
            "UnsupportedSchema",
            f"FeatureSet {name} is of schemaVersion {version}, and this engine knows {SCHEMA_VERSION}: upgrade it",
        )


@dataclass(frozen=True)
class Slot:
    """One accumulator of a pane and the column that it reads."""

    column: int
    kind: Kind
    accumulator: Accumulator


@dataclass(frozen=True)
class PanePlan:
    """Panes of one length in microseconds; `keep` is how many of them an entity has at most."""

    length: int
    keep: int
    slots: tuple[Slot, ...]


@dataclass(frozen=True)
class FeaturePlan:
    """How a feature is read: `pane` is the index of its PanePlan, `slots` the places of its parts in a pane.

    The first slot is the tally of its column. `panes` is the window's length in panes; `size` is it in microseconds,
    as are `ttl` and `interval` (Health alone). `weights[i]` is what a pane counts that lies i panes back (Ewma alone).
    `derived` says that it is made with reference data.
    """

    feature: Feature
    pane: int
    slots: tuple[int, ...]
    panes: int
    tumbling: bool
    size: int
    ttl: int
    interval: int = 0
    weights: tuple[float, ...] = ()
    derived: bool = False

    @cached_property
    def rule(self) -> str:
        """The aggregation as a plain text, which a dictionary finds several times faster than a member of an enum."""
        return self.feature.aggregation.value

    @cached_property
    def whole_weights(self) -> tuple[int, ...]:
        """The weights as integers, in the largest unit in which all are whole: only their ratios matter."""
        pairs = [weight.as_integer_ratio() for weight in self.weights]
        # Denominators are powers of two.
        unit = max((denominator for _, denominator in pairs), default=1)
        return tuple(numerator * (unit // denominator) for numerator, denominator in pairs)

    @cached_property
    def width(self) -> int:
        """How many columns of a model's input the feature takes."""
        match self.feature.aggregation:
            case Aggregation.HISTOGRAM:
                return len(self.feature.buckets) + 1
            case Aggregation.TOP_K:
                return self.feature.k or 1
            case Aggregation.EMBEDDING_LAST | Aggregation.EMBEDDING_MEAN:
                return self.feature.length or 1
            case _:
                return 1


@dataclass(frozen=True)
class Plan:
    """A compiled document: what `apply`, `read` and `merge` work with. `lateness` is in microseconds."""

    document: FeatureSetDocument
    normalizer: Normalizer
    columns: tuple[ColumnPlan, ...]
    expressions: Mapping[str, Expression]
    panes: tuple[PanePlan, ...]
    features: tuple[FeaturePlan, ...]
    lateness: int

    @cached_property
    def by_name(self) -> Mapping[str, FeaturePlan]:
        """Features by name."""
        return {plan.feature.name: plan for plan in self.features}

    @cached_property
    def windows(self) -> Sequence[Sequence[tuple[int, FeaturePlan]]]:
        """The features by window, which they share; each with its place in `features`."""
        found: dict[tuple[int, int, bool, int], list[tuple[int, FeaturePlan]]] = {}
        for place, plan in enumerate(self.features):
            window = (plan.pane, plan.panes, plan.tumbling, plan.size)
            found.setdefault(window, []).append((place, plan))
        return tuple(found.values())


def compile_set(document: FeatureSetDocument) -> Plan:
    """Compile one version of a set. UnsupportedSchemaError; UserMustActError for what can't be computed."""
    if not 1 <= document.schema_version <= SCHEMA_VERSION:
        name = f"{document.namespace}/{document.name} {document.version}"
        raise UnsupportedSchemaError(name, document.schema_version)
    if document.schema_version < _TOLD_UNITS and any(field.told_unit is not None for field in document.fields):
        raise UserMustActError("FeatureSetInvalid", f"toldUnit is none of schemaVersion {document.schema_version}")
    compiler = _Compiler(document)
    features = tuple(compiler.add(feature) for feature in document.features)
    if len({plan.feature.name for plan in features}) < len(features):
        raise UserMustActError("FeatureSetInvalid", "two features have the same name")
    return Plan(
        document=document,
        normalizer=Normalizer.compile(document.entities, document.fields),
        columns=tuple(compiler.columns),
        expressions=compiler.expressions,
        panes=tuple(pane.plan() for pane in compiler.panes.values()),
        features=features,
        lateness=micros_in(document.allowed_lateness),
    )


@dataclass
class _Pane:
    number: int
    length: int
    keep: int = 0
    slots: dict[tuple[int, Kind, object], int] = field(default_factory=dict)
    built: list[Slot] = field(default_factory=list)

    def slot(self, column: int, kind: Kind, feature: Feature, length: int) -> int:
        parameter = (feature.buckets if kind is Kind.BUCKETS else None, length)
        key = (column, kind, parameter)
        if key not in self.slots:
            self.slots[key] = len(self.built)
            self.built.append(Slot(column, kind, build(kind, feature.buckets, length)))
        return self.slots[key]

    def plan(self) -> PanePlan:
        return PanePlan(self.length, self.keep, tuple(self.built))


class _Compiler:
    def __init__(self, document: FeatureSetDocument) -> None:
        self.fields = {source.name: source for source in document.fields}
        self.names = frozenset(self.fields)
        if reserved := self.names & RESERVED:
            raise UserMustActError("FeatureSetInvalid", f"{', '.join(sorted(reserved))} means something in expressions")
        self.by_device = reads_device(part.path for part in document.entities)
        self.columns: dict[ColumnPlan, int] = {}
        self.expressions: dict[str, Expression] = {}
        self.panes: dict[int, _Pane] = {}

    def add(self, feature: Feature) -> FeaturePlan:
        column = self._column(feature)
        length = micros_in(feature.window.pane)
        panes = feature.window.size // feature.window.pane
        pane = self.panes.setdefault(length, _Pane(len(self.panes), length))
        # A tumbling window that is over ended up to one window ago.
        reach = 2 * panes if feature.window.kind is WindowKind.TUMBLING else panes
        pane.keep = max(pane.keep, reach + _SPARE_PANES)
        kinds = (Kind.DERIVED_TALLY if column.derived else Kind.TALLY, *PARTS[feature.aggregation])
        slots = tuple(pane.slot(self.columns[column], kind, feature, column.length) for kind in kinds)
        return FeaturePlan(
            feature=feature,
            pane=pane.number,
            slots=slots,
            panes=panes,
            tumbling=feature.window.kind is WindowKind.TUMBLING,
            size=micros_in(feature.window.size),
            ttl=micros_in(feature.ttl),
            interval=0 if feature.interval is None else micros_in(feature.interval),
            weights=self._weights(feature, panes),
            derived=column.derived,
        )

    def _column(self, feature: Feature) -> ColumnPlan:
        name, aggregation = feature.name, feature.aggregation
        if aggregation in _EMBEDDINGS:
            kind = ColumnKind.VECTOR
        elif aggregation in _IDENTITIES:
            kind = ColumnKind.IDENTITY
        elif aggregation in _PRESENCES:
            kind = ColumnKind.PRESENCE
        else:
            kind = ColumnKind.NUMBER
        if feature.value is None and kind is not ColumnKind.PRESENCE:
            raise _invalid(name, f"{aggregation} needs a value")
        _check_parameters(feature)
        value = self._expression(feature.value, name)
        source = self.fields.get(value or "")
        if source is not None and kind is not ColumnKind.PRESENCE:
            vector = source.type is FieldType.VECTOR
            if vector is not (kind is ColumnKind.VECTOR) or (vector and source.length != feature.length):
                raise _invalid(name, f"{aggregation} can't be of field {source.name}")
            if kind is ColumnKind.NUMBER and source.type is FieldType.STRING:
                raise _invalid(name, f"{aggregation} can't be of text")
        condition = self._expression(feature.filter, name)
        if condition in self.fields and self.fields[condition].type is not FieldType.BOOL:
            raise _invalid(name, f"field {condition} is no condition")
        length = feature.length or 0 if kind is ColumnKind.VECTOR else 0
        column = ColumnPlan(kind, value, condition, length, derived=self._derived(value) or self._derived(condition))
        self.columns.setdefault(column, len(self.columns))
        return column

    def _expression(self, text: str | None, feature: str) -> str | None:
        if text is None:
            return None
        text = text.strip()
        if text not in self.names and text not in self.expressions:
            self.expressions[text] = Expression.compile(text, self.names, feature)
        return text

    def _derived(self, text: str | None) -> bool:
        """Whether something of the device goes into a value or filter, or into what all of the set are by."""
        if self.by_device:
            return True
        names = () if text is None else (text,) if text in self.fields else self.expressions[text].fields
        return any(reads_device(self.fields[name].paths) for name in names)

    def _weights(self, feature: Feature, panes: int) -> tuple[float, ...]:
        """0.5^(i * pane / half_life), in decimal: pow() of two machines may differ in the last bit."""
        if feature.half_life is None:
            return ()
        pane, half_life = micros_in(feature.window.pane), micros_in(feature.half_life)
        step = _PLACES.power(Decimal("0.5"), _PLACES.divide(Decimal(pane), Decimal(half_life)))
        return tuple(float(_PLACES.power(step, i)) for i in range(panes))


def _check_parameters(feature: Feature) -> None:
    needed = {
        Aggregation.QUANTILE: feature.quantile,
        Aggregation.HISTOGRAM: feature.buckets or None,
        Aggregation.TOP_K: feature.k,
        Aggregation.EWMA: feature.half_life,
        Aggregation.HEALTH: feature.interval,
        Aggregation.EMBEDDING_LAST: feature.length,
        Aggregation.EMBEDDING_MEAN: feature.length,
    }
    if feature.aggregation in needed and needed[feature.aggregation] is None:
        raise _invalid(feature.name, f"{feature.aggregation} lacks its parameter")
    if any(a >= b for a, b in zip(feature.buckets, feature.buckets[1:], strict=False)):
        raise _invalid(feature.name, "buckets must ascend")
    if micros_in(feature.window.pane) < 1 or feature.window.size % feature.window.pane:
        raise _invalid(feature.name, "a window is whole panes")
    if any(span is not None and micros_in(span) < 1 for span in (feature.half_life, feature.interval)):
        raise _invalid(feature.name, "halfLife and interval must be longer than 0s")


def _invalid(feature: str, problem: str) -> UserMustActError:
    return UserMustActError("FeatureSetInvalid", f"feature {feature}: {problem}")
