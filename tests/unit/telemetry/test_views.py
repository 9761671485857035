"""From a node's loop over batches into the lake, and what its ready views answer."""

from datetime import UTC, datetime

import pytest

from skerry_core.batch.codec import encode
from skerry_core.batch.contents import Batch, LogName, Row
from skerry_core.batch.key import batch_key, upload_mark
from skerry_core.errors import UserMustActError
from skerry_operator.ingest import telemetry_views
from skerry_operator.ingest.lake import Lake
from skerry_operator.ingest.query import opened
from tests.unit.lake.conftest import Hub
from tests.unit.telemetry.snapshots import MIB, START, disk, queue, stream
from tests.unit.telemetry.test_loop import ACCEPTED, Measures, Node

NOW = int(datetime.now(UTC).timestamp() * 1e6)


@pytest.fixture
def hub(tmp_path):
    root = tmp_path / "store"
    root.mkdir()
    return Hub(Lake(root.as_uri()))


class TodayNode(Node):
    def __init__(self, root):
        self.more = {}
        super().__init__(root)
        self.wall = NOW - 600_000_000
        self.start()

    def inference(self):
        return Measures(f"run-{self.run}", {ACCEPTED: float(self.count), **self.more}, self.levels)


def upload(hub, node, name="node-1"):
    rows = tuple(
        Row(each.seq, each.hlc, each.time, each.received, int(each.flags), each.body) for each, _ in node.records
    )
    log = LogName("site-a", name, "telemetry", node.log.epoch)
    batch = Batch(log, 0, len(rows), rows)
    encoded = encode(batch)
    hub.store.put(f"sites/site-a/{batch_key(log, 0, len(rows), encoded.format, upload_mark())}", encoded.data)


def ask(hub, view):
    with opened(hub.lake) as query:
        return query.run(f"SELECT * FROM {view}").read_all().to_pylist()


def test_without_telemetry_there_is_nothing_to_ask():
    views = (
        telemetry_views.overruns,
        telemetry_views.node_health,
        telemetry_views.node_counts,
        telemetry_views.node_durations,
    )
    for tables in ({}, {"telemetry": frozenset({"site"})}):
        assert [view(tables) for view in views] == [None] * 4


def test_a_remedied_overrun_and_its_cause_are_visible_afterwards(hub, tmp_path):
    node = TodayNode(tmp_path / "node")
    node.step()
    node.levels = stream(99 * MIB) | queue(7, "LinkDown")
    node.step()
    node.levels, node.more = stream(10 * MIB), {("freedBytes", "plant"): 89.0 * MIB, ("refused", "plant"): 12.0}
    for _ in range(4):
        node.step()
    node.levels = stream(10 * MIB) | disk(1.0)
    node.step()
    upload(hub, node)
    assert hub.run()
    rows = ask(hub, "overruns")
    assert [(row["limit"], row["subject"], row["ended"] is None) for row in rows if row["limit"] == "StreamFull"] == [
        ("StreamFull", "plant", False)
    ]
    assert {row["subject"] for row in rows if row["limit"] == "DiskFull" and row["ended"] is None} >= {"Bulk"}
    (row,) = (row for row in rows if row["limit"] == "StreamFull")
    assert row["seconds"] == 40
    assert (row["ended"] - row["began"]).total_seconds() == 40
    assert row["cause"] == "LinkDown"
    assert row["remedy"] == "LinkBack UploadedSegmentsFreed"
    assert (row["refused"], row["dropped"], row["level"], row["bound"]) == (12, 0, 99 * MIB, 100 * MIB)
    assert row["takers"] == f'[["plant",{99 * MIB}]]'
    assert all(row["set_aside"] is None for row in hub.rows("telemetry"))


def test_sums_at_the_hub_are_the_node_s_totals(hub, tmp_path):
    node = TodayNode(tmp_path / "node")
    for minute in range(4):
        node.count += 100
        node.more |= {
            ("errors", "upload", "StoreRefused"): minute + 1.0,
            ("latency", "-16"): 90.0 * (minute + 1),
            ("latency", "-8"): 10.0 * (minute + 1),
            ("lagStored", "Bulk", "8"): 5.0,
        }
        if minute == 2:
            node.run, node.count, node.more = node.run + 1, 50, {}
        node.levels = queue(7) | disk(5 * MIB) | {("memoryBytes",): 40.0 * MIB}
        node.step(61)
    upload(hub, node)
    assert hub.run()
    (health,) = (row for row in ask(hub, "node_health"))
    assert (health["site"], health["node"]) == ("site-a", "node-1")
    assert health["told"].timestamp() * 1e6 == pytest.approx(node.wall, abs=1e3)
    assert (health["inference_up"], health["inference_restarts"], health["inference_mib"]) == (True, 1, 40)
    assert health["sync_up"] is None
    assert health["accepted"] == 200 + 50 + 100
    assert (health["waiting"], health["disk_free_mib"]) == (7, 5)
    counts = {(row["signal"], row["what"]): row["count"] for row in ask(hub, "node_counts")}
    assert counts["accepted", "plant"] == 350
    assert counts["errors", "upload StoreRefused"] == 2 + 4
    durations = {row["what"]: row for row in ask(hub, "node_durations")}
    assert durations["latency"]["count"] == 200 + 400
    assert durations["latency"]["p50_s"] == pytest.approx(0.01)
    assert durations["latency"]["p99_s"] == pytest.approx(0.1)
    assert durations["lag_stored Bulk"]["p95_s"] == pytest.approx(10)


def test_an_old_summary_is_not_of_the_last_day(hub, tmp_path):
    node = Node(tmp_path / "node")
    assert node.wall == START
    node.count = 5
    node.wall = NOW - 3 * 86_400_000_000
    node.step(70)
    upload(hub, node)
    hub.run()
    (health,) = ask(hub, "node_health")
    assert health["accepted"] == 0
    with pytest.raises(UserMustActError):
        ask(hub, "node_durations")
