"""What the real registries of a node expose, read back."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from skerry_core.batch.flags import Flags
from skerry_core.errors import RetryError
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import LogStatus, StreamSettings
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.telemetry.cgroup import ContainerUse
from skerry_edge.telemetry.disk_use import DiskUse
from skerry_edge.telemetry.exposition import measure, parse
from skerry_edge.telemetry.lag import MeasuredLogs, StoredLag
from skerry_edge.telemetry.log_collector import LogCollector
from skerry_edge.telemetry.process_use import ProcessUse

USE = ContainerUse(33554432, 125829120, 5.25, 1.5, 1)


def a_log(**changes):
    fields = {
        "name": "plant",
        "epoch": "e1",
        "first_seq": 1,
        "next_seq": 8,
        "size": 4096,
        "dropped": 1,
        "refused": 2,
        "failed_syncs": 3,
        "torn": 0,
        "damaged": 512,
        "damaged_ranges": (),
        "expired": 4,
        "expired_seq": 4,
    }
    return LogStatus(**(fields | changes))


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    ProcessUse("inference", registry, lambda: USE)
    settings = StreamSettings("plant", 4, timedelta(days=1), 1 << 20)
    registry.register(LogCollector(lambda: {"plant": a_log()}, lambda: {"plant": settings, "gone": settings}))
    metrics = IngestMetrics(registry)
    metrics.accepted.labels("plant", "http").inc(5)
    metrics.accepted.labels("plant", "mqtt").inc(2)
    metrics.append_seconds.labels("plant").observe(0.002)
    return registry


def test_names_and_units_are_prometheus_own(registry):
    for family in text_string_to_metric_families(generate_latest(registry).decode()):
        assert family.documentation
        for sample in family.samples:
            if family.type == "counter":
                assert sample.name.endswith(("_total", "_created"))
        assert not family.name.endswith(("_ms", "_kb", "_mib", "_milliseconds"))


def test_own_families_and_those_read_over_http_say_the_same(registry):
    own, read = measure(registry.collect()), measure(parse(generate_latest(registry).decode()))
    assert own.run == read.run != ""
    assert own.epochs == read.epochs == {"plant": "e1"}
    assert own.tiers == read.tiers == {"plant": 4}
    for measures in (own, read):
        assert measures.counts["accepted", "plant"] == 7
        assert measures.counts["expired", "plant"] == 4
        assert measures.counts["damagedBytes", "plant"] == 512
        assert measures.counts["throttledSeconds",] == 1.5
        assert measures.counts["append", "-20"] == 1
        assert measures.counts["cpuSeconds",] > 0
        assert measures.levels["logBytes", "plant"] == 4096
        assert measures.levels["logLimit", "plant"] == 1 << 20
        assert measures.levels["containerBytes",] == USE.memory
        assert measures.levels["memoryPeakBytes",] >= measures.levels["memoryBytes",] * 0.9 > 0


def test_each_run_has_its_own_name():
    runs = set()
    for _ in range(3):
        registry = CollectorRegistry()
        ProcessUse("sync", registry, ContainerUse)
        runs.add(measure(registry.collect()).run)
    assert len(runs) == 3


def test_labels_that_are_not_told_apart_add_up_and_some_values_do_not_belong():
    registry = CollectorRegistry()
    ProcessUse("sync", registry, ContainerUse)
    judged = Counter("skerry_sync_outbound_records", "x", ("stream", "outcome"), registry=registry)
    judged.labels("plant", "Passed").inc(100)
    judged.labels("plant", "Consent").inc(3)
    held = Gauge("skerry_sync_held", "x", ("tier", "reason"), registry=registry)
    held.labels("Bulk", "Metered").set(1)
    run = Histogram("skerry_model_run_seconds", "x", ("model",), buckets=(0.01, 0.1), registry=registry)
    for model, seconds in (("a", 0.05), ("b", 0.06), ("b", 5), ("b", 0.001)):
        run.labels(model).observe(seconds)
    measures = measure(registry.collect())
    assert {key: value for key, value in measures.counts.items() if key[0] == "withheld"} == {
        ("withheld", "Consent", "plant"): 3
    }
    assert measures.levels["held", "Bulk", "Metered"] == 1
    assert {key: value for key, value in measures.counts.items() if key[0] == "latency"} == {
        ("latency", "-16"): 1,
        ("latency", "-8"): 2,
        ("latency", "56"): 1,
    }


@pytest.mark.parametrize("text", ["skerry_log_bytes 5\n", "", "skerry_x{ 1\n", 'a{b="c} x\n', "a b c d e\n"])
def test_anything_else_is_no_exposition(text):
    with pytest.raises(RetryError) as caught:
        measure(parse(text))
    assert caught.value.reason == "MetricsMalformed"


NOW = 1_795_000_000_000_000


def test_lag_counts_events_whose_time_is_known(tmp_path):
    registry = CollectorRegistry()
    logs = EventLogs(tmp_path, Owner("site-a", "node-1", "boot-1"))
    measured = MeasuredLogs(logs, registry, lambda: NOW)
    log = measured.open(StreamSettings("plant", 4, timedelta(days=1), 1 << 20))
    times = [
        (NOW - 2_000_000, Flags.NONE),
        (NOW - 50_000, Flags.REDACTED),
        (NOW + 1_000_000, Flags.NONE),
        (NOW, Flags.TIME_MISSING),
        (5, Flags.TIME_SKEWED),
        (NOW, Flags.CLOCK_SUSPECT),
    ]
    assert log.append([NewRecord(b"{}", at, NOW, flags) for at, flags in times]) == range(1, 7)
    log.append([])
    value = registry.get_sample_value
    assert value("skerry_events_lag_seconds_count", {"stream": "plant"}) == 3
    assert value("skerry_events_lag_seconds_sum", {"stream": "plant"}) == pytest.approx(2.05)
    assert value("skerry_events_lag_seconds_bucket", {"stream": "plant", "le": "0.001"}) == 1
    assert value("skerry_events_lag_seconds_bucket", {"stream": "plant", "le": "0.1"}) == 2
    assert value("skerry_events_lag_seconds_bucket", {"stream": "plant", "le": "+Inf"}) == 3
    stored = StoredLag(registry)
    stored.stored("Bulk", LogReader(measured.directory("plant")).read(1, 10), NOW + 8_000_000)
    assert value("skerry_sync_lag_seconds_count", {"tier": "Bulk"}) == 3
    assert value("skerry_sync_lag_seconds_bucket", {"tier": "Bulk", "le": "10.0"}) == 3
    assert value("skerry_sync_lag_seconds_bucket", {"tier": "Bulk", "le": "5.623"}) == 0


def test_the_volume(tmp_path):
    found = {family.name: family.samples[0].value for family in DiskUse(tmp_path).collect()}
    assert 0 < found["skerry_disk_free_bytes"] < found["skerry_disk_capacity_bytes"]
    assert list(DiskUse(tmp_path / "nowhere").collect()) == []
