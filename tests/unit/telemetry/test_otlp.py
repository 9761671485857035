"""A real push by OTLP/HTTP to a receiver that reads the protocol's own messages."""

import gzip
import subprocess
import sys
import threading
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from skerry_core.errors import RetryError, UserMustActError
from skerry_edge.telemetry.cgroup import ContainerUse
from skerry_edge.telemetry.exposition import parse
from skerry_edge.telemetry.otlp import Identity, OtlpPush
from skerry_edge.telemetry.otlp_settings import OtlpSettings
from skerry_edge.telemetry.process_use import ProcessUse
from tests.unit.store.test_metered import Count, Peer, ok

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
IDENTITY = Identity("site-a", "node-1")


class Receiver(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests = []
        self.headers = []
        self.status = 200

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_address[1]}"

    def metrics(self):
        """Of the last request: by service, each metric's name, unit and data."""
        return {
            attributes(resource.resource.attributes)["service.name"]: {
                metric.name: metric for scope in resource.scope_metrics for metric in scope.metrics
            }
            for resource in self.requests[-1].resource_metrics
        }


class _Handler(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.headers.append((self.path, self.headers))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.server.requests.append(ExportMetricsServiceRequest.FromString(body))
        self.send_response(self.server.status)
        answer = ExportMetricsServiceResponse().SerializeToString()
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


def attributes(pairs):
    return {pair.key: pair.value.string_value for pair in pairs}


@pytest.fixture
def receiver(monkeypatch):
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv(ENDPOINT, server.url)
        yield server
        server.shutdown()


@pytest.fixture
def registry():
    registry = CollectorRegistry()
    ProcessUse("sync", registry, ContainerUse)
    sent = Counter("skerry_sync_bytes", "Bytes on the wire.", ("purpose",), registry=registry)
    sent.labels("Events").inc(4096)
    Gauge("skerry_sync_queue_records", "What waits.", ("tier",), registry=registry).labels("Bulk").set(17)
    lag = Histogram("skerry_sync_lag_seconds", "Lag.", ("tier",), buckets=(1, 10), registry=registry)
    for seconds in (0.5, 2, 3, 100):
        lag.labels("Bulk").observe(seconds)
    return registry


def push(registry, environment, meter=None, **processes):
    settings = OtlpSettings.from_environment(environment)
    own = {"sync": lambda: list(registry.collect())}
    return OtlpPush(settings, IDENTITY, own | processes, meter or Count())


@pytest.mark.slow
def test_a_push(receiver, registry):
    inference = CollectorRegistry()
    ProcessUse("inference", inference, ContainerUse)
    Counter("skerry_predictions", "Answers.", ("model",), registry=inference).labels("shop/vision").inc(3)
    pusher = push(
        registry,
        {ENDPOINT: receiver.url, "OTEL_METRIC_EXPORT_INTERVAL": "5000"},
        inference=lambda: parse(generate_latest(inference).decode()),
    )
    assert pusher.step() == timedelta(seconds=5)
    ((path, headers),) = receiver.headers
    assert path == "/v1/metrics"
    assert headers["Content-Type"] == "application/x-protobuf"
    told = receiver.metrics()
    assert set(told) == {"skerry-sync", "skerry-inference"}
    sync = told["skerry-sync"]
    sent = sync["skerry_sync_bytes"]
    assert (sent.unit, sent.description, sent.sum.is_monotonic) == ("By", "Bytes on the wire.", True)
    assert sent.sum.aggregation_temporality == 2
    (point,) = sent.sum.data_points
    assert point.as_double == 4096
    assert attributes(point.attributes) == {"purpose": "Events"}
    assert 0 < point.start_time_unix_nano <= point.time_unix_nano
    assert sync["skerry_sync_queue_records"].gauge.data_points[0].as_double == 17
    lag = sync["skerry_sync_lag_seconds"]
    assert lag.unit == "s"
    (buckets,) = lag.histogram.data_points
    assert list(buckets.explicit_bounds) == [1, 10]
    assert list(buckets.bucket_counts) == [1, 2, 1]
    assert (buckets.count, buckets.sum) == (4, 105.5)
    assert not buckets.HasField("min")
    assert sync["skerry_process"].gauge.data_points[0].as_double == 1
    assert sync["process_resident_memory_bytes"].unit == "By"
    assert told["skerry-inference"]["skerry_predictions"].sum.data_points[0].as_double == 3


def test_heads_and_answers_count_too(registry, monkeypatch):
    peer, count = Peer(ok(0), ok(40)), Count()
    monkeypatch.setenv(ENDPOINT, f"http://127.0.0.1:{peer.port}")
    pusher = push(registry, {ENDPOINT: f"http://127.0.0.1:{peer.port}"}, count)
    for _ in range(2):
        pusher.step()
        assert (count.out, count.back) == (peer.got, peer.gave)
    assert min(peer.got, peer.gave) > 0


@pytest.mark.slow
def test_whose_they_are(receiver, registry, monkeypatch):
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=plant")
    push(registry, {ENDPOINT: receiver.url}).step()
    (resource,) = receiver.requests[-1].resource_metrics
    found = attributes(resource.resource.attributes)
    assert found["service.namespace"] == "skerry"
    assert found["service.name"] == "skerry-sync"
    assert found["service.instance.id"] == "site-a/node-1/sync"
    assert found["skerry.site"] == "site-a"
    assert found["k8s.node.name"] == "node-1"
    assert found["deployment.environment"] == "plant"
    push(registry_again(), {ENDPOINT: receiver.url, "OTEL_SERVICE_NAME": "edge"}).step()
    (resource,) = receiver.requests[-1].resource_metrics
    assert attributes(resource.resource.attributes)["service.name"] == "edge"


def registry_again():
    registry = CollectorRegistry()
    ProcessUse("sync", registry, ContainerUse)
    return registry


@pytest.mark.slow
def test_standard_variables_are_obeyed(receiver, registry, monkeypatch):
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20abc")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    push(registry, {ENDPOINT: receiver.url}).step()
    ((_, headers),) = receiver.headers
    assert headers["authorization"] == "Bearer abc"
    assert headers["Content-Encoding"] == "gzip"
    assert receiver.metrics()["skerry-sync"]


@pytest.mark.slow
def test_a_process_that_does_not_answer_is_left_out(receiver, registry):
    def down():
        raise RetryError("InferenceUnreachable", "it is down")

    push(registry, {ENDPOINT: receiver.url}, inference=down).step()
    assert set(receiver.metrics()) == {"skerry-sync"}


@pytest.mark.slow
def test_a_receiver_that_refuses_is_an_error_to_retry(receiver, registry, capfd):
    receiver.status = 400
    pusher = push(registry, {ENDPOINT: receiver.url})
    with pytest.raises(RetryError) as caught:
        pusher.step()
    assert caught.value.reason == "OtlpRefused"
    assert receiver.url not in str(caught.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("environment", "settings"),
    [
        ({}, None),
        ({ENDPOINT: ""}, None),
        ({ENDPOINT: "http://c:4318"}, OtlpSettings(timedelta(minutes=1))),
        ({"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": "http://c/x"}, OtlpSettings(timedelta(minutes=1))),
        ({ENDPOINT: "http://c", "OTEL_SDK_DISABLED": "TRUE"}, None),
        ({ENDPOINT: "http://c", "OTEL_METRICS_EXPORTER": "none"}, None),
        (
            {ENDPOINT: "http://c", "OTEL_METRIC_EXPORT_INTERVAL": "250", "OTEL_SERVICE_NAME": "edge"},
            OtlpSettings(timedelta(milliseconds=250), "edge"),
        ),
    ],
)
def test_settings(environment, settings):
    assert OtlpSettings.from_environment(environment) == settings


@pytest.mark.parametrize(
    "extra",
    [
        {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "0"},
        {"OTEL_METRIC_EXPORT_INTERVAL": "1m"},
    ],
)
def test_settings_that_cannot_be_met(extra):
    with pytest.raises(UserMustActError) as caught:
        OtlpSettings.from_environment({ENDPOINT: "http://c"} | extra)
    assert caught.value.reason == "OtlpSettingsInvalid"


@pytest.mark.slow
def test_without_an_endpoint_nothing_of_it_is_loaded():
    code = (
        "import sys, skerry_edge.telemetry.loop, skerry_edge.telemetry.otlp_settings, skerry_edge.telemetry.exposition;"
        "sys.exit(any(name.startswith(('opentelemetry', 'google.protobuf', 'requests')) for name in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
