"""Pushes a node's metrics by OTLP/HTTP. Costs ten MiB of memory, so it's imported only where it is asked for.

Names and kinds follow https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/: a counter is
a cumulative sum, an info metric a gauge of 1, and a unit is what the name ends with.
"""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import requests
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    MetricExportResult,
    MetricsData,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
)
from opentelemetry.sdk.metrics.export import Metric as OtlpMetric
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from prometheus_client.core import Metric
from requests.adapters import HTTPAdapter

from skerry_core.errors import RetryError, SkerryError
from skerry_core.store.metered import Meter, count
from skerry_edge.telemetry.otlp_settings import OtlpSettings

_UNITS = {"_seconds": "s", "_bytes": "By"}
_SCOPE = InstrumentationScope("skerry")
_START = "process_start_time_seconds"
_NANOSECONDS = 1_000_000_000
_CUMULATIVE = AggregationTemporality.CUMULATIVE

# The exporter tells of each failure in lines of its own form; ours is told by whoever runs the loop.
logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)

Families = Callable[[], Sequence[Metric]]


@dataclass(frozen=True)
class Identity:
    """Whose metrics they are."""

    site: str
    node: str

    def resource(self, process: str, service_name: str | None) -> Resource:
        """One process of the node; OTEL_RESOURCE_ATTRIBUTES adds to it."""
        return Resource.create(
            {
                "service.namespace": "skerry",
                "service.name": service_name or f"skerry-{process}",
                "service.instance.id": f"{self.site}/{self.node}/{process}",
                "skerry.site": self.site,
                "k8s.node.name": self.node,
            }
        )


class _Counted(HTTPAdapter):
    """Connections of `requests` that tell a meter."""

    def __init__(self, meter: Meter) -> None:
        super().__init__()
        self._meter = meter
        count(self.poolmanager, meter)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        count(manager, self._meter)
        return manager


class OtlpPush:
    """`processes` give the metrics of each process, and raise SkerryError while one doesn't answer."""

    def __init__(
        self,
        settings: OtlpSettings,
        identity: Identity,
        processes: Mapping[str, Families],
        meter: Meter,
    ) -> None:
        """`meter` is told of every byte of heads and bodies, both ways, repeated requests too."""
        self._settings = settings
        self._processes = processes
        self._resources = {name: identity.resource(name, settings.service_name) for name in processes}
        session = requests.Session()
        for scheme in ("http://", "https://"):
            session.mount(scheme, _Counted(meter))
        self._exporter = OTLPMetricExporter(session=session)

    def step(self) -> timedelta:
        """Push once. Raises RetryError OtlpRefused if the receiver didn't take it."""
        now = time.time_ns()
        resources = []
        for name, families in self._processes.items():
            try:
                metrics = list(otlp_metrics(families(), now))
            except SkerryError:
                continue
            scope = ScopeMetrics(_SCOPE, metrics, "")
            resources.append(ResourceMetrics(self._resources[name], [scope], ""))
        if self._exporter.export(MetricsData(resources)) is not MetricExportResult.SUCCESS:
            raise RetryError("OtlpRefused", "the OTLP receiver can't be reached or refuses the metrics")
        return self._settings.interval


def otlp_metrics(families: Iterable[Metric], now: int) -> Iterator[OtlpMetric]:
    """Prometheus' metrics as OTLP's, as of `now` in ns since 1970."""
    families = list(families)
    starts = [sample.value for family in families for sample in family.samples if sample.name == _START]
    start = min(int(max(starts) * _NANOSECONDS), now) if starts else now
    for family in families:
        unit = next((unit for suffix, unit in _UNITS.items() if family.name.endswith(suffix)), "")
        data: Sum | Gauge | Histogram
        match family.type:
            case "counter":
                points = _numbers(family, f"{family.name}_total", start, now)
                data = Sum(points, _CUMULATIVE, is_monotonic=True)
            case "histogram":
                data = Histogram(list(_histograms(family, start, now)), _CUMULATIVE)
            case "info":
                data = Gauge(_numbers(family, f"{family.name}_info", start, now))
            case _:
                data = Gauge(_numbers(family, family.name, start, now))
        if data.data_points:
            yield OtlpMetric(family.name, family.documentation, unit, data)


def _numbers(family: Metric, name: str, start: int, now: int) -> list[NumberDataPoint]:
    return [
        NumberDataPoint(dict(sample.labels), start, now, float(sample.value))
        for sample in family.samples
        if sample.name == name
    ]


def _histograms(family: Metric, start: int, now: int) -> Iterator[HistogramDataPoint]:
    buckets: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, int]]] = defaultdict(list)
    sums: dict[tuple[tuple[str, str], ...], float] = {}
    for sample in family.samples:
        labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
        if sample.name == f"{family.name}_bucket":
            buckets[labels].append((float(sample.labels["le"]), int(sample.value)))
        elif sample.name == f"{family.name}_sum":
            sums[labels] = sample.value
    for labels, found in buckets.items():
        found.sort()
        cumulative = [count for _, count in found]
        counts = [count - below for count, below in zip(cumulative, [0, *cumulative], strict=False)]
        yield HistogramDataPoint(
            attributes=dict(labels),
            start_time_unix_nano=start,
            time_unix_nano=now,
            count=cumulative[-1],
            sum=sums.get(labels, 0.0),
            bucket_counts=counts,
            explicit_bounds=[end for end, _ in found[:-1]],
            # Prometheus doesn't know them; the protocol leaves them out then.
            min=None,  # type: ignore[arg-type]
            max=None,  # type: ignore[arg-type]
        )
