"""Column batches and policies, made by hand."""

import json
from datetime import UTC, datetime, timedelta

import numpy as np

from skerry_api.v1alpha1.syncpolicy import Consent, Tier
from skerry_core.sync_policy.document import DataClassPolicy, StreamPolicy
from skerry_edge.events.record import ColumnBatch

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NOW_US = int(NOW.timestamp()) * 1_000_000


def event(data=None, subject=None, **attributes) -> bytes:
    record = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **attributes}
    if subject is not None:
        record["subject"] = subject
    if data is not None:
        record["data"] = data
    return json.dumps(record).encode()


def columns(*bodies: bytes, first=1, received=None, flags=None, hlc=None) -> ColumnBatch:
    n = len(bodies)
    received = np.asarray([NOW_US] * n if received is None else received, dtype=np.int64)
    return ColumnBatch(
        first=first,
        hlc=np.asarray(range(first, first + n) if hlc is None else hlc, dtype=np.uint64),
        time=received,
        received=received,
        flags=np.asarray([0] * n if flags is None else flags, dtype=np.uint16),
        offsets=np.cumsum([0, *(len(body) for body in bodies)], dtype=np.uint32),
        data=memoryview(b"".join(bodies)),
    )


def stream(name="readings", **changes) -> StreamPolicy:
    fields = {
        "name": name,
        "tier": Tier.BULK,
        "max_age": timedelta(days=30),
        "max_bytes": 1 << 30,
        "dedup_window": timedelta(hours=1),
        "sampling": 1.0,
        "max_body": 65_536,
    }
    return StreamPolicy(**(fields | changes))


def data_class(*rules, name="personal", consent=Consent.NOT_NEEDED, **fields) -> DataClassPolicy:
    return DataClassPolicy(name=name, consent=consent, rules=rules, **fields)
