"""A Prometheus histogram of durations that takes many at once, for records that come in batches."""

import threading
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from prometheus_client import CollectorRegistry
from prometheus_client.core import HistogramMetricFamily, Metric
from prometheus_client.registry import Collector


class DurationHistogram(Collector):
    """Counts durations in seconds by the values of its labels. Threads share it."""

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float], registry: CollectorRegistry
    ) -> None:
        self._name = name
        self._text = text
        self._labels = tuple(labels)
        self._bounds = np.array(bounds)
        self._ends = (*(str(float(bound)) for bound in bounds), "+Inf")
        self._counts: dict[tuple[str, ...], NDArray[np.int64]] = {}
        self._sums: dict[tuple[str, ...], float] = {}
        self._lock = threading.Lock()
        registry.register(self)

    def observe(self, labels: tuple[str, ...], seconds: ArrayLike) -> None:
        """Count durations [n]; what is negative, because two clocks differ, counts as 0."""
        values = np.maximum(np.asarray(seconds, np.float64), 0.0)
        if not values.size:
            return
        found = np.bincount(np.searchsorted(self._bounds, values), minlength=len(self._ends))
        with self._lock:
            counts = self._counts.setdefault(labels, np.zeros(len(self._ends), np.int64))
            counts += found
            self._sums[labels] = self._sums.get(labels, 0.0) + float(values.sum())

    def collect(self) -> Iterator[Metric]:
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        with self._lock:
            for labels, counts in self._counts.items():
                cumulative = np.cumsum(counts).tolist()
                family.add_metric(labels, list(zip(self._ends, cumulative, strict=True)), self._sums[labels])
        yield family
