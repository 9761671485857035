"""A prediction that was filled from features, and the events that its features were made of."""

from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np

from skerry_core import digest as digests
from skerry_core.bundle.manifest import Manifest
from skerry_core.canonical import canonical_json
from skerry_core.features.apply import RawEvents, apply
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_core.features.entity_key import entity_key
from skerry_core.features.plan import compile_set
from skerry_core.features.read import FeatureStatus, read
from skerry_core.lineage.explain import Found, Kept
from skerry_core.lineage.record import FeatureLineage, Prediction, RecordId
from tests.unit.features.sets import MINUTE, SECOND, T0, TUMBLING, Event, document, feature
from tests.unit.inference.releases import manifest

NOW = T0 + 20 * MINUTE
FEATURES = [
    feature("count", "Count", None),
    feature("hot", "Count", None, filter="rms > 5.0"),
    feature("mean", "Mean", ttl="2m"),
    feature("past", "Sum", window=TUMBLING),
]
NAMES = tuple(each["name"] for each in FEATURES)
SET = document(FEATURES)
DIGEST = digests.of_bytes(canonical_json(SET))
EPOCH = "0123456789abcdef"
ID = RecordId("berlin", "node-1", "fedcba9876543210", 7)


def released(names: Sequence[str] = NAMES) -> Manifest:
    ref = FeatureSetRef(namespace="plant", name="presses", version="1.0.0", digest=DIGEST)
    return manifest(
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        features=(FeatureInput(input="f", feature_set=ref, features=tuple(names)),),
    )


def raw(events: Sequence[Event]) -> RawEvents:
    return RawEvents(
        [body for body, _, _ in events],
        np.array([time for _, time, _ in events], dtype=np.int64),
        np.array([received for _, _, received in events], dtype=np.int64),
    )


def kept(events: Sequence[Event], rows: Sequence[int] | None = None, missing=()) -> Kept:
    """Those of a log's events that are still there; numbered as in the log, from 1."""
    rows = range(len(events)) if rows is None else rows
    return Kept(raw([events[row] for row in rows]), [(EPOCH, row + 1) for row in rows], tuple(missing))


def recorded(events: Sequence[Event], entity: str = "press-1", now: int = NOW) -> tuple[Prediction, dict]:
    """The record that the serving process writes after these events; and what the features were."""
    plan = compile_set(SET)
    states: dict = {}
    apply(plan, raw(events), states)
    values = {value.name: value for value in read(plan, states.get(entity_key([entity])), now).values}
    lineage = FeatureLineage(
        input="f",
        set="plant/presses",
        version="1.0.0",
        digest=DIGEST[7:19],
        epoch=EPOCH,
        seq=len(events),
        since=now - 10 * MINUTE,
        ages=tuple(None if (age := values[name].age_us) is None else age // 1000 for name in NAMES),
        stale=tuple(name for name in NAMES if values[name].status is not FeatureStatus.PRESENT),
        events=tuple(values[name].events for name in NAMES),
        schema=SET.schema_version,
    )
    record = Prediction(
        request="r",
        namespace="team",
        model="har",
        version="1.0.0",
        digest="sha256:" + "1" * 64,
        variant="champion",
        latency=0.001,
        rows=1,
        entity={"press": entity},
        features=(lineage,),
        runtime="skerry 1 onnxruntime 2",
    )
    return record, values


def found(record: Prediction, manifest: Manifest | None = None, documents=None) -> Found:
    return Found(ID, NOW, record, manifest or released(), {DIGEST: SET} if documents is None else documents)


def ago(seconds: float) -> int:
    return NOW - int(seconds * SECOND)
