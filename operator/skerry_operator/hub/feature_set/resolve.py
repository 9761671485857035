"""A FeatureSet's spec with every default filled in, and the document that nodes compute with. Pure."""

from datetime import timedelta

from skerry_api.v1alpha1.featureset import (
    FeatureEntity,
    FeatureLimits,
    FeatureSetContent,
    FeatureSetEffective,
    FeatureSource,
    FeatureSpec,
    FeatureWindowSpec,
    FieldType,
    OnStale,
    SchemaField,
    WindowKind,
)
from skerry_core.errors import UserMustActError
from skerry_core.features.definition import (
    Aggregation,
    Conversion,
    Entity,
    Feature,
    FeatureSetDocument,
    FeatureWindow,
    Limits,
    SourceField,
    ToldUnit,
)
from skerry_operator.hub.feature_set.units import conversion

ALLOWED_LATENESS = timedelta(minutes=5)
MAX_ENTITIES = 100_000
MAX_BYTES = 256 << 20
_PANES = 10
_MILLISECOND = timedelta(milliseconds=1)
_EMBEDDINGS = frozenset({Aggregation.EMBEDDING_LAST, Aggregation.EMBEDDING_MEAN})


def effective_set(spec: FeatureSetContent) -> FeatureSetEffective:
    """Fill in every default; UserMustActError for a window that can't be cut into panes by default."""
    limits = spec.limits or FeatureLimits()
    lengths = {field.name: field.length for field in spec.source.fields if field.type is FieldType.VECTOR}
    return FeatureSetEffective(
        version=spec.version,
        entities=spec.entities,
        source=FeatureSource(stream=spec.source.stream, fields=tuple(map(_field, spec.source.fields))),
        allowed_lateness=ALLOWED_LATENESS if spec.allowed_lateness is None else spec.allowed_lateness,
        features=tuple(_feature(feature, lengths) for feature in spec.features),
        limits=FeatureLimits(max_entities=limits.max_entities or MAX_ENTITIES, max_bytes=limits.max_bytes or MAX_BYTES),
    )


def document_of(namespace: str, name: str, effective: FeatureSetEffective) -> FeatureSetDocument:
    """What nodes are told, conversions of units computed; UserMustActError for units, ValidationError for windows."""
    limits = effective.limits
    assert limits is not None
    fields = tuple(map(_source_field, effective.source.fields))
    return FeatureSetDocument(
        schema_version=1 if all(field.told_unit is None for field in fields) else 2,
        namespace=namespace,
        name=name,
        version=effective.version,
        entities=tuple(map(_entity, effective.entities)),
        stream=effective.source.stream,
        fields=fields,
        allowed_lateness=effective.allowed_lateness,
        features=tuple(map(_document_feature, effective.features)),
        limits=Limits(max_entities=limits.max_entities, max_bytes=limits.max_bytes),
    )


def _field(field: SchemaField) -> SchemaField:
    return field.model_copy(
        update={
            "path": field.path or f"data.{field.name}",
            "required": field.required is None or field.required,
            "source_unit": field.source_unit or (None if field.unit_from else field.unit),
        }
    )


def _feature(feature: FeatureSpec, lengths: dict[str, int | None]) -> FeatureSpec:
    on_stale = OnStale.REJECT if feature.default is None else OnStale.DEFAULT
    length = feature.length
    if length is None and feature.aggregation in _EMBEDDINGS:
        length = lengths.get((feature.value or "").strip())
    return feature.model_copy(
        update={
            "window": _window(feature.name, feature.window),
            "ttl": feature.ttl or feature.window.size,
            "on_stale": feature.on_stale or on_stale,
            "length": length,
        }
    )


def _window(feature: str, window: FeatureWindowSpec) -> FeatureWindowSpec:
    kind = window.kind or WindowKind.ROLLING
    pane = window.pane or (window.size if kind is WindowKind.TUMBLING else window.size / _PANES)
    if window.pane is None and pane % _MILLISECOND:
        raise UserMustActError(
            "FeatureSetInvalid", f"feature {feature}: its window can't be cut into whole milliseconds; give the pane"
        )
    return FeatureWindowSpec(kind=kind, size=window.size, pane=pane)


def _entity(entity: FeatureEntity) -> Entity:
    return Entity(name=entity.name, path=entity.path)


def _source_field(field: SchemaField) -> SourceField:
    factor, offset = conversion(field.source_unit, field.unit, f"field {field.name}")
    return SourceField(
        name=field.name,
        path=field.path,
        type=field.type,
        unit=field.unit or "",
        factor=factor,
        offset=offset,
        minimum=field.minimum,
        maximum=field.maximum,
        required=field.required,
        length=field.length,
        told_unit=_told_unit(field),
    )


def _told_unit(field: SchemaField) -> ToldUnit | None:
    if field.unit_from is None:
        return None
    return ToldUnit(
        paths=field.unit_from,
        conversions=tuple(
            Conversion(unit=unit, factor=factor, offset=offset)
            for unit in field.source_units or ()
            for factor, offset in [conversion(unit, field.unit, f"field {field.name}")]
        ),
        required=field.source_unit is None,
    )


def _document_feature(feature: FeatureSpec) -> Feature:
    window = FeatureWindow(kind=feature.window.kind, size=feature.window.size, pane=feature.window.pane)
    return Feature(**(dict(feature) | {"window": window, "buckets": feature.buckets or ()}))
