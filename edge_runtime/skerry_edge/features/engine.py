"""The engine port over `skerry_core.features`."""

from collections.abc import Callable, Sequence

from pydantic import ValidationError

from skerry_core.errors import UserMustActError
from skerry_core.features.apply import RawEvents, Taken, put, take
from skerry_core.features.definition import Aggregation, FeatureSetDocument
from skerry_core.features.entity_key import entity_key, entity_parts
from skerry_core.features.plan import Plan, compile_set
from skerry_core.features.read import FeatureStatus, FeatureValue, Reading, read
from skerry_core.features.state import EntityState, merge
from skerry_core.features.vector import Vector, vector
from skerry_core.micros import micros_in
from skerry_edge.features.ports import Applied, StateSource, Subjects


class CoreEngine:
    """One version of a set, compiled."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        features = plan.document.features
        self.reach = micros_in(max(feature.window.size for feature in features))
        # An event without a subject has no such key, so whoever stands there is whom consent is about.
        self._subject = next((i for i, each in enumerate(plan.document.entities) if each.path == "subject"), None)
        self.recency = frozenset(each.name for each in features if each.aggregation is Aggregation.RECENCY)

    @property
    def document(self) -> FeatureSetDocument:
        return self._plan.document

    def key(self, entity: Sequence[str]) -> bytes:
        return entity_key(entity)

    @property
    def by_subject(self) -> bool:
        return self._subject is not None

    def may_be_of(self, key: bytes, subjects: Subjects) -> bool:
        return self._subject is None or entity_parts(key)[self._subject] in subjects

    def take(self, events: RawEvents) -> Taken:
        return take(self._plan, events)

    def apply(self, taken: Taken, states: StateSource) -> Applied:
        asked = _Asked(states.get)
        found = put(self._plan, taken, asked)
        return Applied({key: asked[key] for key in found.changed}, found.refusals, found.late, found.undecided)

    def encode(self, state: EntityState) -> bytes:
        return state.encode(self._plan)

    def decode(self, data: bytes) -> EntityState:
        return EntityState.decode(self._plan, data)

    def merge(self, one: EntityState, other: EntityState, now: int) -> EntityState:
        return merge(self._plan, one, other, now)

    def read(self, state: EntityState | None, now: int) -> Reading:
        return read(self._plan, state, now)

    def at(self, reading: Reading, now: int) -> Reading:
        values = []
        for value in reading.values:
            if value.as_of is None or value.event_time is None:
                values.append(value)
                continue
            age = max(now - value.as_of, 0)
            recent = value.name in self.recency and value.status is FeatureStatus.PRESENT
            known = max(now - value.event_time, 0) / 1e6 if recent else value.value
            values.append(
                FeatureValue(value.name, known, value.status, age, value.event_time, value.events, value.as_of)
            )
        return Reading(tuple(values), reading.until_us)

    def vector(self, reading: Reading, names: Sequence[str]) -> Vector:
        return vector(self._plan, reading, names)


class _Asked(dict[bytes, EntityState]):
    """States that are fetched when the engine looks whether they are there."""

    def __init__(self, get: Callable[[bytes], EntityState | None]) -> None:
        super().__init__()
        self._get = get

    def __contains__(self, key: object) -> bool:
        if super().__contains__(key):
            return True
        state = self._get(key) if isinstance(key, bytes) else None
        if state is None:
            return False
        self[key] = state  # type: ignore[index]
        return True


def compiled(data: bytes) -> CoreEngine:
    """The engine of a document's bytes. UserMustActError `FeatureSetInvalid`, UnsupportedSchemaError."""
    try:
        document = FeatureSetDocument.model_validate_json(data)
    except ValidationError as error:
        raise UserMustActError("FeatureSetInvalid", f"not a FeatureSet's document: {str(error)[:300]}") from error
    return CoreEngine(compile_set(document))
