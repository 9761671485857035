"""A node's logs with something that derives one from the others, and a clock that tests move."""

import json
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.sync.outbound.deriving import PERIOD
from skerry_edge.sync.outbound.outbound import Outbound
from tests.unit.sync_outbound.columns import event

NOW = datetime(2026, 12, 1, tzinfo=UTC)


def micros(when):
    return int(when.timestamp() * 1_000_000)


class DerivingNode:
    """`start` is a start of the process; whoever derives says in `deriving` how it is made."""

    stream: str

    def __init__(self, root, document):
        self.root = root
        self.now = NOW
        self.document = document
        self.ours = EventLogs(root / "inference", Owner("site", "node", "boot"))
        self.open()
        self.start()

    def open(self, owner="node"):
        self.syncs = EventLogs(self.root / "sync", Owner("site", owner, "boot"))
        self.log = self.syncs.open(StreamSettings(self.stream, 1, timedelta(days=30), 1 << 30))

    def start(self):
        self.registry = CollectorRegistry()
        self.outbound = Outbound(
            self.root, self.root / "site-salt", self.root / "inference" / "consent", self.registry, lambda: 10**9
        )
        self.outbound.adopt(self.document)
        self.loop = self.deriving((self.root / "inference", self.root / "sync"))
        self.loop.adopt(self.document)

    def append(self, *data, subject=None, name="readings", ago=timedelta(), flags=0):
        log = self.ours.open(StreamSettings(name, 2, timedelta(days=30), 1 << 30))
        bodies = [one if isinstance(one, bytes) else event(one, subject) for one in data]
        log.append([NewRecord(body, micros(self.now - ago), micros(self.now), flags) for body in bodies])

    def pass_time(self, **time):
        self.now += timedelta(**time)
        while self.loop.step() < PERIOD:
            pass

    @property
    def records(self):
        """Those in logs that were set aside, too."""
        folders = sorted((self.root / "sync").glob(f"{self.stream}*"))
        batches = [batch for folder in folders for batch in LogReader(folder).read(1, 100_000)]
        return [record for batch in batches for record in batch.records()]

    @property
    def told(self):
        return [data for record in self.records if (data := json.loads(record.body).get("data"))]

    def close(self):
        self.ours.close()
        self.syncs.close()
