"""Sync's part put together, with an inference process that answers over loopback."""

import json
from contextlib import contextmanager

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.reader import LogReader
from skerry_edge.inference.metrics import Metrics
from skerry_edge.sync.inference_api import InferenceApi
from skerry_edge.sync.telemetry import NodeTelemetry
from skerry_edge.telemetry.error_classes import ErrorClasses
from tests.unit.store.canned import Answer, canned_server
from tests.unit.store.test_metered import Count
from tests.unit.telemetry.test_otlp import ENDPOINT, receiver  # noqa: F401 - a fixture

OWNER = Owner("site-a", "node-1", "boot-1")


@contextmanager
def inference_says(*answers):
    with canned_server(*answers) as server:
        yield InferenceApi(f"{server.url}/status")


def node_telemetry(root, inference, registry=None, environment=None):
    (root / "sync").mkdir(exist_ok=True)
    return NodeTelemetry(
        site="site-a",
        node="node-1",
        root=root,
        boot="boot-1",
        logs=EventLogs(root / "sync" / "log", OWNER),
        inference=inference,
        registry=registry or CollectorRegistry(),
        errors=ErrorClasses(),
        environment=environment or {},
        meter=Count(),
    )


def told(root):
    batches = LogReader(root / "sync" / "log" / "telemetry").read(1, 100)
    return [json.loads(record.body)["data"] for batch in batches for record in batch.records()]


@pytest.fixture
def exposition(tmp_path):
    metrics = Metrics(EventLogs(tmp_path / "inference" / "log", OWNER), ErrorClasses())
    metrics.refused(404)
    return metrics.exposition()


def test_both_processes_are_in_one_summary(tmp_path, exposition):
    with inference_says(Answer(body=exposition)) as inference:
        node_telemetry(tmp_path, inference).close()
    (data,) = told(tmp_path)
    assert data["counts"]["failedRequests"] == 1
    assert data["inference"]["up"] is data["sync"]["up"] is True
    assert data["sync"]["memoryBytes"] > 0
    assert data["disk"]["capacity"] > data["disk"]["free"] > 0
    assert data["logs"][0][0] == "telemetry"
    assert len(json.dumps(data)) < 2048


@pytest.mark.parametrize(
    "answer", [Answer(503, b"starting"), Answer(body=b"x" * (2 << 20)), Answer(body=b"skerry_x 1\n")]
)
def test_inference_that_does_not_answer_is_down(tmp_path, answer):
    with inference_says(answer) as inference:
        telemetry = node_telemetry(tmp_path, inference)
        telemetry.adopt(DEFAULT_POLICY)
        telemetry.loops[0]._step()
        telemetry.close()
    (data,) = told(tmp_path)
    assert "inference" not in data or data["inference"]["up"] is False
    assert data["sync"]["up"] is True


def test_sync_s_registry_shows_everything(tmp_path, exposition):
    registry = CollectorRegistry()
    with inference_says(Answer(body=exposition)) as inference:
        node_telemetry(tmp_path, inference, registry)
    text = generate_latest(registry).decode()
    for name in ("process_cpu_seconds_total", "skerry_disk_free_bytes", 'skerry_log_limit_bytes{stream="telemetry"}'):
        assert f"\n{name} " in text or text.startswith(f"{name} ")


@pytest.mark.slow
def test_it_is_pushed_where_a_receiver_is_configured(tmp_path, exposition, receiver):  # noqa: F811
    with inference_says(Answer(body=exposition)) as inference:
        telemetry = node_telemetry(tmp_path, inference, environment={ENDPOINT: receiver.url})
        assert [loop.name for loop in telemetry.loops] == ["telemetry", "otlp"]
        telemetry.loops[1]._step()
    found = receiver.metrics()
    assert set(found) == {"skerry-sync", "skerry-inference"}
    assert "skerry_refused_requests" in found["skerry-inference"]
    assert "skerry_disk_free_bytes" in found["skerry-sync"]


def test_settings_that_cannot_be_met_stop_it(tmp_path, exposition):
    with (
        inference_says(Answer(body=exposition)) as inference,
        pytest.raises(UserMustActError, match="OTEL_EXPORTER_OTLP_PROTOCOL"),
    ):
        node_telemetry(
            tmp_path, inference, environment={ENDPOINT: "http://c", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}
        )
