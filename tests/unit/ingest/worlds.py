"""Parts for tests of ingest: a policy, events, a log that fails as told, and the real thing in a folder."""

import json
import threading
from contextlib import contextmanager
from datetime import timedelta

from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import Consent, Tier
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import DataClassPolicy, StreamPolicy
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.settings import LogFailedError, LogFullError
from skerry_edge.ingest.cloudevent import from_json
from skerry_edge.ingest.node_time import CODE_WRITTEN, NodeTime
from skerry_edge.ingest.stream import Stream, as_it_came

NOW = CODE_WRITTEN + 86_400_000_000
FULL = LogFullError("full")
FAILED = LogFailedError("failed")


def stream_policy(name="readings", **changes):
    base = StreamPolicy(
        name=name,
        tier=Tier.DIAGNOSTICS,
        max_age=timedelta(days=30),
        max_bytes=1 << 30,
        dedup_window=timedelta(hours=1),
        sampling=1.0,
        max_body=65_536,
    )
    return base.model_copy(update=changes)


def policy(*streams, classes=()):
    return DEFAULT_POLICY.model_copy(
        update={
            "streams": (*DEFAULT_POLICY.streams, *streams),
            "data_classes": tuple(DataClassPolicy(name=name, consent=Consent.REQUIRED) for name in classes),
        }
    )


def raw_event(event_id, source="/s", **more):
    return json.dumps({"specversion": "1.0", "id": str(event_id), "source": source, "type": "t", **more}).encode()


def event(event_id, source="/s", **more):
    return from_json(raw_event(event_id, source, **more))


class ScriptedLog:
    """Keeps records in memory; `plan` has what the next appends do: nothing, or an error to raise."""

    epoch = "00000000000000aa"

    def __init__(self, plan=()):
        self.plan = list(plan)
        self.records = []
        self.appends = 0
        self.entered, self.gate = threading.Event(), threading.Event()
        self.gate.set()
        self._lock = threading.Lock()

    def append(self, records):
        self.entered.set()
        assert self.gate.wait(10)
        with self._lock:
            self.appends += 1
            error = self.plan.pop(0) if self.plan else None
            if error is not None:
                raise error
            first = len(self.records) + 1
            self.records += records
        return range(first, first + len(records))

    def append_soon(self, make):
        seq = len(self.records) + 1
        self.records.append(make(seq))
        return seq

    @property
    def ids(self):
        return [json.loads(record.body)["id"] for record in self.records]


def stream_over(log, body=as_it_came, **changes):
    clock = [0.0]
    made = Stream(stream_policy(**changes), log, NodeTime(lambda: NOW), lambda: clock[0], 1 << 13, body=body)
    return made, clock


@contextmanager
def event_logs(root, **options):
    logs = EventLogs(root, Owner("site-a", "node-1", "boot-1"), **options)
    try:
        yield logs
    finally:
        logs.close()


def stored(logs, stream):
    """Records of a stream, as any reader sees them."""
    reader = LogReader(logs.directory(stream))
    records, at = [], 1
    while batches := reader.read(at, 1000):
        records += [record for batch in batches for record in batch.records()]
        at = batches[-1].last + 1
    return records


def stored_ids(logs, stream):
    return [json.loads(record.body).get("id") for record in stored(logs, stream)]


def registry():
    return CollectorRegistry()
