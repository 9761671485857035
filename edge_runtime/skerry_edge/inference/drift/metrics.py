"""Prometheus metrics of drift, read when scraped: MAX_COLUMNS series of each name for a model at most."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry_edge.inference.drift.watcher import DriftWatcher

_MODEL = ("model",)
_COLUMN = ("model", "column")


class DriftCollector(Collector):
    """Metrics of every model that is watched; `model` is its namespace and name."""

    def __init__(self, watcher: DriftWatcher) -> None:
        self._watcher = watcher

    def collect(self) -> Iterator[Metric]:
        psi = GaugeMetricFamily("skerry_drift_psi", "Population stability index of the newest window.", labels=_COLUMN)
        limit = GaugeMetricFamily("skerry_drift_psi_limit", "What that index may be at most.", labels=_COLUMN)
        nulls = GaugeMetricFamily("skerry_drift_null_ratio", "Share of rows without a number.", labels=_COLUMN)
        drifting = GaugeMetricFamily("skerry_drift_columns", "Columns that drift.", labels=_MODEL)
        windows = CounterMetricFamily("skerry_drift_windows", "Windows judged.", labels=_MODEL)
        rows = CounterMetricFamily("skerry_drift_rows", "Rows that were sampled.", labels=_MODEL)
        for key, watched in sorted(self._watcher.watched.items()):
            model, watch = f"{key.namespace}/{key.name}", watched.watch
            for column in watch.last.columns:
                labels = model, column.column
                psi.add_metric(labels, column.psi)
                limit.add_metric(labels, column.limit)
                nulls.add_metric(labels, column.nulls)
            drifting.add_metric((model,), len(watch.drifting))
            windows.add_metric((model,), watch.judged)
            rows.add_metric((model,), watch.rows)
        yield from (psi, limit, nulls, drifting, windows, rows)
        yield CounterMetricFamily(
            "skerry_drift_cpu_seconds", "CPU time spent on drift.", value=self._watcher.cpu_seconds
        )
