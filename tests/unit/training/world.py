"""A real log, the real materializer and the real binding on one side, the real ingest and the command on the other."""

import csv
import json
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from skerry_core import digest as digests
from skerry_core.batch.codec import encode
from skerry_core.batch.contents import Batch, LogName, Row
from skerry_core.batch.key import batch_key, upload_mark
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from skerry_core.lineage.record import Prediction
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings
from skerry_edge.features.engine import compiled
from skerry_edge.features.materializer import Materializer, Sources
from skerry_edge.features.needs import Needs
from skerry_edge.features.snapshots import Snapshots
from skerry_edge.features.store import LmdbStore
from skerry_edge.inference.binding import _lineage
from skerry_operator.cli.main import app
from tests.unit.features.sets import ALL, SECOND, body, document, feature
from tests.unit.features.test_version import Node

SITE, NODE = "berlin", "node-1"
SET = [feature("sum", "Sum"), feature("count", "Count", None), feature("rejected", "Last", default=None)]


class World:
    def __init__(self, path, hub, features=ALL, site=SITE, node=NODE, **more):
        self.path, self.hub, self.site, self.name = path, hub, site, node
        self.document = document(features, limits={"maxEntities": 1000, "maxBytes": 64 << 20}, **more)
        self.data = canonical_json(self.document)
        self.digest = digests.of_bytes(self.data)
        self.names = tuple(feature.name for feature in self.document.features)
        self.file = path / "set.json"
        self.file.write_bytes(self.data)
        self.clocks = Node()
        folder = path / f"{site}-{node}"
        self.logs = EventLogs(folder / "log", Owner(site, node, "boot"), wall=lambda: self.clocks.wall // 1000)
        self.streams = {
            name: self.logs.open(StreamSettings(name, 1, timedelta(days=30), 1 << 30))
            for name in ("vibration", "predictions", "consent", "labels")
        }
        sources = Sources(
            folder / "log", 1, lambda: Needs(frozenset({self.digest}), True), lambda _: self.data, compiled
        )
        self.features = Materializer(
            LmdbStore(folder / "features"), sources, None, self.clocks.clock, snapshots=Snapshots(folder / "snapshots")
        )
        self.sent = {}
        self.served = []

    def close(self):
        self.features.close()
        self.logs.close()

    def passes(self, seconds):
        self.clocks.passes(seconds)

    def event(self, data, subject="press-1", ago=0.0, stream="vibration", **more):
        """Take in an event that happened `ago` seconds before now."""
        now = self.clocks.wall
        time = now - int(ago * SECOND)
        self.streams[stream].append([NewRecord(body(data, subject=subject, **more), time, now)])

    def consent(self, subject, *classes, withdrawn=False):
        kind = f"dev.skerry.consent.{'withdrawn' if withdrawn else 'granted'}"
        self.event({"dataClasses": list(classes)}, subject, stream="consent", type=kind)

    def label(self, prediction, value, subject=None, **data):
        """Tell what is true of a prediction, about somebody or without a word about whom."""
        said = {"prediction": prediction, "value": value, **data}
        self.event(said, subject, stream="labels")

    def follow(self):
        while self.features.step():
            pass

    def serve(self, *entity):
        """Read a vector as a request does, and log the prediction; its id."""
        self.follow()
        reading = self.features.find(self.digest).read(entity)
        vector = reading.vector(self.names)
        ref = FeatureSetRef(
            namespace=self.document.namespace, name=self.document.name, version="1.0.0", digest=self.digest
        )
        binding = FeatureInput(input="x", feature_set=ref, features=self.names)
        lineage = _lineage(binding, self.document, reading, vector.defaulted)
        record = Prediction(
            request="r",
            namespace="vision",
            model="press-health",
            version="1.0.0",
            digest="sha256:" + "0" * 64,
            variant="champion",
            latency=0.001,
            rows=1,
            entity=dict(zip((each.name for each in self.document.entities), entity, strict=True)),
            features=(lineage,),
            decided=(1.0,),
        )
        now, log = self.clocks.wall, self.streams["predictions"]
        (seq,) = log.append([NewRecord(msgspec.json.encode(record), now, now)])
        self.served.append((reading.now, entity, vector.values.tobytes(), vector.defaulted, vector.rejected))
        return f"{self.site}/{self.name}/{log.epoch}/{seq}"

    def ship(self, change=lambda stream, row: row, size=100):
        """Upload what the logs have, and let the hub ingest it; `change` may make another row of one."""
        for stream, log in self.streams.items():
            name = LogName(self.site, self.name, stream, log.epoch)
            after = self.sent.get(stream, 0)
            records = [
                record
                for batch in LogReader(self.logs.directory(stream)).read(after + 1, 1_000_000)
                for record in batch.records()
            ]
            for start in range(0, len(records), size):
                rows = tuple(
                    change(stream, Row(r.seq, r.hlc, r.time, r.received, int(r.flags), r.body))
                    for r in records[start : start + size]
                )
                last = rows[-1].seq
                encoded = encode(Batch(name, after, last, rows))
                key = f"sites/{self.site}/{batch_key(name, after, last, encoded.format, upload_mark())}"
                self.hub.store.put(key, encoded.data)
                after = last
            self.sent[stream] = after
        self.hub.run()

    def rows_file(self, rows, **columns):
        """Entity rows as a file: (time in µs, entity)."""
        table = {
            "press": pa.array([entity[0] for _, entity in rows]),
            "event_timestamp": pa.array([time for time, _ in rows], pa.timestamp("us", "UTC")),
            **columns,
        }
        path = self.path / "rows.parquet"
        pq.write_table(pa.table(table), path)
        return path

    def run(self, *options, history=None, output="out.parquet"):
        """The command; what it said and the exit code."""
        out = self.path / output
        argv = ["features", "build", "--features", self.file, "--history", history or self.hub.lake.uri]
        argv += ["--output", out, "--json", *options]
        return CliRunner().invoke(app, [str(each) for each in argv])

    def build(self, *options, consent=("--no-consent-needed",), **more):
        """What was told, and the file."""
        done = self.run(*options, *consent, **more)
        assert done.exit_code == 0, (done.output, done.exception)
        return json.loads(done.stdout), pq.read_table(self.path / more.get("output", "out.parquet"))


def csv_rows(path, rows, header=("press", "event_timestamp", "label")):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def vectors(table, names):
    """Each row's features as float64 bytes."""
    columns = [table[name].to_pylist() for name in names]
    rows = []
    for row in zip(*columns, strict=True):
        flat = [number for value in row for number in (value if isinstance(value, list) else [value])]
        rows.append(np.array(flat, np.float64).tobytes())
    return rows


def moment(us):
    return datetime.fromtimestamp(us / 1e6, UTC)
