"""Documents, events and drivers that the tests of features share."""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from skerry_core.features.apply import Applied, RawEvents, apply
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.plan import Plan, compile_set
from skerry_core.features.read import FeatureValue, read
from skerry_core.features.state import EntityState

SECOND = 1_000_000
MINUTE = 60 * SECOND
T0 = 1_700_000_040 * SECOND  # a whole minute
KEY = b'["press-1"]'

ROLLING = {"kind": "Rolling", "size": "10m", "pane": "1m"}
TUMBLING = {"kind": "Tumbling", "size": "10m", "pane": "10m"}
FIELDS = [
    {"name": "rms", "path": "data.rms", "type": "Float64", "required": False},
    {"name": "cycles", "path": "data.cycles", "type": "Int64", "required": False},
    {"name": "state", "path": "data.state", "type": "String", "required": False},
    {"name": "open", "path": "data.open", "type": "Bool", "required": False},
    {"name": "v", "path": "data.v", "type": "Vector", "length": 3, "required": False},
]


def feature(name: str, aggregation: str, value: str | None = "rms", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "aggregation": aggregation,
        "value": value,
        "window": ROLLING,
        "ttl": "1h",
        "onStale": "Default",
        "default": 0.0,
        **more,
    }


ALL = [
    feature("count", "Count", None),
    feature("running", "Count", None, filter="state == 'run'"),
    feature("sum", "Sum"),
    feature("mean", "Mean"),
    feature("min", "Min"),
    feature("max", "Max"),
    feature("std", "Std"),
    feature("last", "Last"),
    feature("first", "First"),
    feature("recency", "Recency", None),
    feature("rate", "Rate", None),
    feature("ewma", "Ewma", halfLife="2m"),
    feature("states", "Distinct", "state"),
    feature("p90", "Quantile", quantile=0.9),
    feature("histogram", "Histogram", buckets=[1.0, 2.0, 5.0]),
    feature("top", "TopK", "state", k=2),
    feature("health", "Health", None, interval="1m"),
    feature("embedding", "EmbeddingLast", "v", length=3),
    feature("centre", "EmbeddingMean", "v", length=3),
    feature("tumbling", "Sum", window=TUMBLING),
    feature("squared", "Sum", "rms * rms"),
    feature("opened", "Sum", "open"),
]


def document(features: Sequence[dict[str, Any]] = ALL, **more: Any) -> FeatureSetDocument:
    return FeatureSetDocument.model_validate(
        {
            "namespace": "plant",
            "name": "presses",
            "version": "1.0.0",
            "entities": [{"name": "press", "path": "subject"}],
            "stream": "vibration",
            "fields": FIELDS,
            "allowedLateness": "5m",
            "features": list(features),
            "limits": {"maxEntities": 1000, "maxBytes": 1 << 20},
            **more,
        }
    )


def plan(features: Sequence[dict[str, Any]] = ALL, **more: Any) -> Plan:
    return compile_set(document(features, **more))


def body(data: dict[str, Any] | None = None, subject: Any = "press-1", **more: Any) -> bytes:
    return json.dumps(
        {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "subject": subject, **more, "data": data or {}},
        ensure_ascii=False,
    ).encode()


Event = tuple[bytes, int, int]


def event(data: dict[str, Any], time: int = T0, received: int | None = None, **more: Any) -> Event:
    return body(data, **more), time, time if received is None else received


def raw(events: Sequence[Event]) -> RawEvents:
    return RawEvents(
        [entry[0] for entry in events],
        np.array([entry[1] for entry in events], dtype=np.int64),
        np.array([entry[2] for entry in events], dtype=np.int64),
    )


def run(plan: Plan, events: Sequence[Event], states: dict[bytes, EntityState] | None = None) -> Applied:
    return apply(plan, raw(events), {} if states is None else states)


def values(plan: Plan, events: Sequence[Event], now: int = T0, key: bytes = KEY) -> dict[str, FeatureValue]:
    states: dict[bytes, EntityState] = {}
    run(plan, events, states)
    return {value.name: value for value in read(plan, states.get(key), now).values}


def encoded(plan: Plan, states: dict[bytes, EntityState]) -> dict[bytes, bytes]:
    return {key: state.encode(plan) for key, state in sorted(states.items())}
