"""From a prediction's record and the events that are kept to an explanation. Pure: node and hub look up, this tells."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from skerry_core.bundle.manifest import Manifest
from skerry_core.errors import SkerryError
from skerry_core.features.apply import RawEvents
from skerry_core.features.definition import FeatureInput, FeatureSetDocument
from skerry_core.features.plan import Plan, compile_set
from skerry_core.features.read import FeatureStatus
from skerry_core.lineage.explanation import (
    Explanation,
    FeatureTold,
    InputTold,
    Missing,
    PairTold,
    PayloadTold,
    TrainingTold,
    WindowEvent,
)
from skerry_core.lineage.members import Members, Span, members, reach_of, span_of
from skerry_core.lineage.payload import MAX_PAYLOAD, TOO_LARGE
from skerry_core.lineage.record import FeatureLineage, PairRecord, Prediction, RecordId
from skerry_core.micros import micros_in, micros_of, rfc3339

MAX_EVENTS = 1000


@dataclass(frozen=True)
class Found:
    """A prediction's record, and what its release and the feature sets say; what isn't to be had any more is missing.

    `time` in µs since 1970; `documents` by digest.
    """

    id: RecordId
    time: int
    record: Prediction
    manifest: Manifest | None
    documents: Mapping[str, FeatureSetDocument]


@dataclass(frozen=True)
class Wanted:
    """Events that are needed to explain one input.

    Those of `stream` on the node, up to number `seq` of the log `epoch`, and of other logs what was received by
    `until`; all of them received at or after `span.start`. `paths` are all that is looked at in their bodies, and
    `entity` are the parts of the key of whom it is about.
    """

    input: str
    stream: str
    epoch: str
    seq: int
    span: Span
    until: int
    paths: tuple[str, ...]
    entity: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """What there is of the events wanted: `ids` are (epoch, seq) of each; `missing` may hold others."""

    events: RawEvents
    ids: Sequence[tuple[str, int]]
    missing: tuple[Missing, ...] = ()


@dataclass(frozen=True)
class _Bound:
    """An input whose set is known: what is needed to find its events."""

    plan: Plan
    names: tuple[str, ...]
    now: int
    entity: tuple[str, ...]


def wanted(found: Found) -> tuple[Wanted, ...]:
    """The events to look up, for each input whose feature set is known."""
    result = []
    for lineage in found.record.features:
        bound = _bound(found, lineage)
        if isinstance(bound, str):
            continue
        document = bound.plan.document
        span = reach_of(bound.plan, bound.names, bound.now)
        result.append(
            Wanted(
                lineage.input,
                document.stream,
                lineage.epoch,
                lineage.seq,
                span,
                found.time,
                document.paths,
                bound.entity,
            )
        )
    return tuple(result)


def explain(found: Found, kept: Mapping[str, Kept], by: str) -> Explanation:
    """Tell all that is known; `kept` is by input."""
    record = found.record
    notes = []
    if found.manifest is None and record.features:
        notes.append(f"release {record.digest} isn't kept here any more, so its features have no names")
    if record.payload == TOO_LARGE:
        notes.append(f"its inputs and outputs were to be recorded, and are too large for that ({MAX_PAYLOAD} bytes)")
    return Explanation(
        id=str(found.id),
        by=by,
        time=rfc3339(found.time),
        request=record.request,
        namespace=record.namespace,
        model=record.model,
        version=record.version,
        release=record.digest,
        variant=record.variant,
        latency_seconds=record.latency,
        rows=record.rows,
        runtime=record.runtime,
        preprocessing_version=record.preprocessing_version,
        model_created="" if found.manifest is None else rfc3339(micros_of(found.manifest.created_at)),
        training=None if found.manifest is None else _training(found.manifest),
        entity=record.entity,
        given=record.given,
        inputs=tuple(_input(found, lineage, kept.get(lineage.input)) for lineage in record.features),
        pair=None if record.pair is None else _pair(record.pair),
        payload=PayloadTold(record.inputs, record.outputs) if record.inputs or record.outputs else None,
        notes=tuple(notes),
    )


def _training(manifest: Manifest) -> TrainingTold | None:
    training = manifest.training
    if training is None:
        return None
    rows = tuple(each.digest for each in training.data)
    return TrainingTold(training.round.id, rfc3339(micros_of(training.round.at)), rows)


def _bound(found: Found, lineage: FeatureLineage) -> _Bound | str:
    """What is known of an input's set, or what keeps one from knowing."""
    binding = _binding(found.manifest, lineage)
    if binding is None:
        return "the release isn't kept here any more"
    document = found.documents.get(binding.feature_set.digest)
    if document is None:
        return "the feature set's document isn't kept here any more"
    entity = tuple(found.record.entity.get(each.name, "") for each in document.entities)
    if not all(entity):
        return "the record doesn't say whom it is about"
    try:
        plan = compile_set(document)
    except SkerryError as error:
        return str(error)
    if not set(binding.features) <= set(plan.by_name):
        return "the feature set has other features than the release names"
    now = lineage.since + micros_in(max(feature.window.size for feature in document.features))
    return _Bound(plan, binding.features, now, entity)


def _binding(manifest: Manifest | None, lineage: FeatureLineage) -> FeatureInput | None:
    for binding in () if manifest is None else manifest.features:
        if binding.input == lineage.input and binding.feature_set.digest.startswith(f"sha256:{lineage.digest}"):
            return binding
    return None


def _input(found: Found, lineage: FeatureLineage, kept: Kept | None) -> InputTold:
    binding = _binding(found.manifest, lineage)
    told = InputTold(
        input=lineage.input,
        set=lineage.set,
        version=lineage.version,
        digest=lineage.digest if binding is None else binding.feature_set.digest,
        applied=str(RecordId(found.id.site, found.id.node, lineage.epoch, lineage.seq)) if lineage.epoch else "",
        since=rfc3339(lineage.since),
        schema_version=lineage.schema or None,
        features=_recorded(lineage, () if binding is None else binding.features),
        notes=_adopted(lineage),
    )
    bound = _bound(found, lineage)
    if isinstance(bound, str):
        return replace(told, notes=(*told.notes, f"its events can't be told: {bound}"))
    document = bound.plan.document
    told = replace(told, stream=document.stream, schema_version=document.schema_version, until=rfc3339(bound.now))
    if kept is None:
        return replace(told, notes=(*told.notes, "its events were not looked up"))
    these = members(bound.plan, bound.entity, bound.names, bound.now, kept.events)
    features = tuple(_with_events(bound, feature, these) for feature in told.features)
    listed, count = _listed(found.id, bound.names, these, kept)
    return replace(
        told,
        features=features,
        events=listed,
        events_found=count,
        missing=kept.missing,
        notes=(*told.notes, *_notes(features, kept)),
    )


def _adopted(lineage: FeatureLineage) -> tuple[str, ...]:
    """Where else events come from that may have counted."""
    if not lineage.adopted:
        return ()
    node, _, snapshot = lineage.adopted.partition("/")
    until = rfc3339(lineage.adopted_until)
    counted = f"events that node {node} took in until {until}, and that are in its log, may have counted, too"
    return (f"{counted}: its snapshot {snapshot} was taken over",)


def _recorded(lineage: FeatureLineage, names: Sequence[str]) -> tuple[FeatureTold, ...]:
    """What the record alone tells; a feature whose name nobody knows any more is called by its place."""
    counts = lineage.events or (None,) * len(lineage.ages)
    told = []
    for place, (age, count) in enumerate(zip(lineage.ages, counts, strict=False)):
        name = names[place] if place < len(names) else f"#{place + 1}"
        known = place < len(names) or not lineage.stale
        status = _status(age, stale=name in lineage.stale) if known else "UNKNOWN"
        told.append(FeatureTold(name, status, None if age is None else age / 1000, counted=count))
    return tuple(told)


def _status(age: int | None, *, stale: bool) -> str:
    if age is None:
        return FeatureStatus.NOT_FOUND.value
    return (FeatureStatus.OUTSIDE_MAX_AGE if stale else FeatureStatus.PRESENT).value


def _with_events(bound: _Bound, told: FeatureTold, these: Members) -> FeatureTold:
    feature = bound.plan.by_name[told.name]
    span = span_of(bound.plan, feature, bound.now)
    found = len(these.rows[told.name])
    value = these.values[told.name] if found == told.counted else None
    if told.counted == found == 0:
        # That there is an age says that there were events before the window: then none is an answer.
        value = None if told.age_seconds is None else 0.0
    return replace(
        told,
        aggregation=feature.feature.aggregation.value,
        window_start=rfc3339(span.start),
        window_end=rfc3339(span.end),
        found=found,
        value=value,
    )


def _listed(of: RecordId, names: Sequence[str], these: Members, kept: Kept) -> tuple[tuple[WindowEvent, ...], int]:
    counts_in: dict[int, list[str]] = {}
    for name in names:
        for row in these.rows[name].tolist():
            counts_in.setdefault(row, []).append(name)
    newest = sorted(counts_in, key=lambda row: (int(kept.events.time[row]), kept.ids[row]), reverse=True)
    return tuple(
        WindowEvent(
            str(RecordId(of.site, of.node, *kept.ids[row])),
            rfc3339(int(kept.events.time[row])),
            rfc3339(int(kept.events.received[row])),
            tuple(counts_in[row]),
        )
        for row in newest[:MAX_EVENTS]
    ), len(counts_in)


def _notes(features: Sequence[FeatureTold], kept: Kept) -> Iterator[str]:
    for told in features:
        if told.counted is None or told.found is None or told.found == told.counted:
            continue
        if told.found < told.counted:
            yield f"{told.name}: {told.counted - told.found} of {told.counted} events are no longer kept here"
        else:
            yield (
                f"{told.name}: {told.found} events are kept, of which {told.counted} counted then: the state had been "
                "evicted, or not yet built from all of the log"
            )
    for missing in kept.missing:
        yield f"{missing.records} records that the windows may have held can't be looked at: {missing.reason}"


def _pair(pair: PairRecord) -> PairTold:
    return PairTold(
        champion=pair.champion,
        challenger=pair.challenger,
        champion_latency_seconds=pair.champion_latency,
        challenger_latency_seconds=pair.challenger_latency,
        rows=pair.rows,
        disagreements=pair.disagreements,
        error=pair.error,
    )
