"""Prometheus metrics of the serving process."""

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry_edge.events.log import LogStatus
from skerry_edge.inference.canary import Answer

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0)


class _LogCollector(Collector):
    """Reads the log's state when scraped."""

    def __init__(self, status: Callable[[], LogStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        status = self._status()
        yield GaugeMetricFamily("skerry_log_bytes", "Bytes in the prediction log's segments.", value=status.size)
        yield GaugeMetricFamily("skerry_log_next_seq", "Sequence number of the next record.", value=status.next_seq)
        yield CounterMetricFamily("skerry_log_dropped", "Predictions answered but not logged.", value=status.dropped)
        yield CounterMetricFamily("skerry_log_failed_syncs", "Failed fsyncs of the log.", value=status.failed_syncs)


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self, log_status: Callable[[], LogStatus]) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_LogCollector(log_status))
        self._answered = Counter(
            "skerry_predictions", "Answered requests.", ("model", "version", "variant"), registry=self._registry
        )
        self._refused = Counter(
            "skerry_refused_requests", "Requests answered with an error.", ("status",), registry=self._registry
        )
        self._seconds = Histogram(
            "skerry_model_run_seconds",
            "Time in the model that answered.",
            ("model",),
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._trips = Counter(
            "skerry_guardrail_trips",
            "Challenger answers that a guardrail withheld.",
            ("model", "guardrail"),
            registry=self._registry,
        )

    def answered(self, model: str, answer: Answer) -> None:
        """Count an answer."""
        self._answered.labels(model, answer.resident.release.version, answer.variant).inc()
        self._seconds.labels(model).observe(answer.run.seconds)
        if answer.pair is not None and answer.pair.error:
            self._trips.labels(model, answer.pair.error).inc()

    def refused(self, status: int) -> None:
        """Count an answer other than 200."""
        self._refused.labels(str(status)).inc()

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)
