"""The real process rolls up a real log while it is killed again and again: each event is in what it told, once."""

import base64
import json
import random
import time
from datetime import timedelta
from functools import reduce

import numpy as np
import pytest

from skerry_api.v1alpha1.syncpolicy import ROLLUPS, Tier
from skerry_core import digest
from skerry_core.canonical import canonical_json
from skerry_core.rollups.state import Shape, ValueKind, decode, encode, gather, merge
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import StreamPolicy
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.inference.intent import boot_id
from tests.integration.sync.node import encoded
from tests.unit.sync.logs import NODE, SITE, batches_of

KILLS = 6
READINGS = StreamPolicy(
    name="readings",
    tier=Tier.BULK,
    max_age=timedelta(days=1),
    max_bytes=1 << 30,
    dedup_window=timedelta(hours=1),
    sampling=0.0,
    max_body=65_536,
    rollup_window=timedelta(seconds=1),
)


class Readings:
    """A stream's log, and all that was appended to it: values and their times."""

    def __init__(self, root):
        self._logs = EventLogs(root / "inference" / "log", Owner(SITE, NODE, boot_id()), segment_bytes=20_000)
        self._log = self._logs.open(StreamSettings("readings", 4, timedelta(days=1), 1 << 30))
        self._dice = random.Random(3)
        self.values, self.times = [], []

    def append(self):
        now = time.time_ns() // 1000
        values = [self._dice.gauss(0, 10) for _ in range(20)]
        times = [now - self._dice.randrange(3_000_000) for _ in values]
        events = [{"specversion": "1.0", "id": str(now), "source": "/s", "type": "t", "data": {"v": v}} for v in values]
        made = zip(events, times, strict=True)
        self._log.append([NewRecord(json.dumps(event).encode(), at, now) for event, at in made])
        self.values += values
        self.times += times

    def close(self):
        self._logs.close()


def told(store):
    states = {}
    for batch in batches_of(dict(store.objects)):
        for row in batch.rows if batch.log.stream == ROLLUPS else ():
            states[batch.log.epoch, row.seq] = decode(base64.b64decode(json.loads(row.body)["data"]["state"]))
    return list(states.values())


@pytest.mark.long
def test_killed_again_and_again_each_event_is_told_once(node, kube, store):
    policy = canonical_json(DEFAULT_POLICY.model_copy(update={"streams": (*DEFAULT_POLICY.streams, READINGS)}))
    (node.root / "sync").mkdir()
    (node.root / "sync" / "policy.json").write_bytes(digest.of_bytes(policy).encode() + b"\n" + policy)
    kube.grant(encoded(store.grant()))
    readings = Readings(node.root)
    note = node.root / "sync" / "rollups.note"
    dice = random.Random(5)

    def written(since):
        readings.append()
        return note.exists() and note.stat().st_mtime_ns != since

    for _ in range(KILLS):
        node.start()
        # Right behind a note is where a window may be in the log, or not yet.
        for _ in range(dice.randrange(1, 4)):
            since = note.stat().st_mtime_ns if note.exists() else 0
            node.wait("another note", lambda since=since: written(since))
        node.kill()
    node.start_here()
    node.wait("all told", lambda: sum(state.parts[0][0] for state in told(store)) >= len(readings.values), seconds=60)
    whole = gather(
        Shape(ValueKind.NUMBER),
        readings.values,
        np.zeros(len(readings.values), np.int64),
        np.array(readings.times, np.int64),
    )
    assert encode(reduce(merge, told(store))) == encode(whole[0])
    readings.close()
