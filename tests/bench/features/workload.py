"""The events and feature sets that everything here is measured with: real samples, from a hundred watches, now.

Bodies are those of the batch bench (tests.bench.batch.dataset) with another wearer, id and time in them.
"""

import re
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.micros import rfc3339
from tests.bench.batch import dataset

STREAM = "samples"
WATCHES = 100
CHANNELS = dataset.CHANNELS
WINDOW = {"kind": "Rolling", "size": "10m", "pane": "1m"}

_ID = re.compile(rb'"id":"[^"]*"')
_SUBJECT = re.compile(rb'"source":"[^"]*"(.*?)"subject":"[^"]*"')
_TIME = re.compile(rb'"time":"[^"]*"')


def _feature(name: str, aggregation: str, value: str | None = None, **more: Any) -> dict[str, Any]:
    common = {"window": WINDOW, "ttl": "1h", "onStale": "Default", "default": 0.0}
    return {"name": name, "aggregation": aggregation, "value": value, **common, **more}


TEN = [
    _feature("samples", "Count"),
    _feature("samples_a_second", "Rate"),
    _feature("seconds_since", "Recency"),
    _feature("ax_mean", "Mean", "ax"),
    _feature("ax_std", "Std", "ax"),
    _feature("ay_min", "Min", "ay"),
    _feature("ay_max", "Max", "ay"),
    _feature("az_sum", "Sum", "az"),
    _feature("wx_last", "Last", "wx"),
    _feature("wx_first", "First", "wx"),
]
# What SQL can say as well, and exactly.
EIGHT = [
    _feature("samples", "Count"),
    _feature("samples_a_second", "Rate"),
    _feature("ax_sum", "Sum", "ax"),
    _feature("ax_mean", "Mean", "ax"),
    _feature("ax_min", "Min", "ax"),
    _feature("ax_max", "Max", "ax"),
    _feature("ax_first", "First", "ax"),
    _feature("ax_last", "Last", "ax"),
]


def document(features: Sequence[dict[str, Any]], entities: int = 10_000) -> tuple[str, bytes]:
    """Digest and bytes of a set over the watches' samples."""
    data = canonical_json(
        FeatureSetDocument.model_validate(
            {
                "namespace": "clinic",
                "name": "watches",
                "version": "1.0.0",
                "entities": [{"name": "person", "path": "subject"}],
                "stream": STREAM,
                "fields": [{"name": name, "path": f"data.{name}", "type": "Float64"} for name in CHANNELS],
                "allowedLateness": "15m",
                "features": list(features),
                "limits": {"maxEntities": entities, "maxBytes": 1 << 40},
            }
        )
    )
    return digests.of_bytes(data), data


def samples() -> list[bytes]:
    """The dataset's bodies."""
    return [row.body for row in dataset.events()]


def person(number: int) -> str:
    return f"person-{number:03d}"


def retold(bodies: Sequence[bytes], start: int, period: float, watches: int = WATCHES) -> Iterator[tuple[bytes, int]]:
    """The same samples, one each `period` microseconds from `start` on, by the watches in turn; each with its time."""
    ids = np.random.default_rng(start).bytes(16 * len(bodies))
    for number, body in enumerate(bodies):
        at = start + int(number * period)
        made = uuid.UUID(bytes=ids[16 * number : 16 * number + 16], version=4)
        told = _ID.sub(b'"id":"%b"' % str(made).encode(), body, count=1)
        wearer = number % watches
        about = rb'"source":"//clinic-3.example/watches/%03d"\1"subject":"%b"' % (wearer, person(wearer).encode())
        told = _SUBJECT.sub(about, told, count=1)
        yield _TIME.sub(b'"time":"%b"' % rfc3339(at).encode(), told, count=1), at
