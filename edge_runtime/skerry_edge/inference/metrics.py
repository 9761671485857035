"""Prometheus metrics of the serving process."""

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from skerry_edge.events.logs import EventLogs
from skerry_edge.inference.activation.state import BadRelease, ModelKey
from skerry_edge.inference.canary import Answer
from skerry_edge.telemetry.error_classes import ErrorClasses
from skerry_edge.telemetry.log_collector import LogCollector
from skerry_edge.telemetry.process_use import ProcessUse
from skerry_edge.telemetry.sketch import bounds

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """All of them, in a registry of their own."""

    def __init__(self, logs: EventLogs, errors: ErrorClasses) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(LogCollector(logs.status, logs.settings))
        self.registry.register(errors)
        ProcessUse("inference", self.registry)
        self._answered = Counter(
            "skerry_predictions", "Answered requests.", ("model", "version", "variant"), registry=self.registry
        )
        self._refused = Counter(
            "skerry_refused_requests", "Requests answered with an error.", ("status",), registry=self.registry
        )
        self._seconds = Histogram(
            "skerry_model_run_seconds",
            "Time in the model that answered.",
            ("model",),
            buckets=bounds(-4, 1),
            registry=self.registry,
        )
        self._trips = Counter(
            "skerry_guardrail_trips",
            "Challenger answers that a guardrail withheld.",
            ("model", "guardrail"),
            registry=self.registry,
        )
        self._unfilled = Counter(
            "skerry_challenger_unfilled",
            "Requests that took no part in a canary since the challenger's features were not to be had.",
            ("version", "status"),
            registry=self.registry,
        )
        self._rollbacks = Counter(
            "skerry_rollbacks",
            "Releases that were put aside.",
            ("model", "version", "reason"),
            registry=self.registry,
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

    def challenger_unfilled(self, version: str, status: int) -> None:
        """Count a request that the challenger got no features for."""
        self._unfilled.labels(version, str(status)).inc()

    def put_aside(self, key: ModelKey, entry: BadRelease) -> None:
        """Count a release that is never tried again for a model here."""
        self._rollbacks.labels(f"{key.namespace}/{key.name}", entry.version, entry.reason).inc()

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)
