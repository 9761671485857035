"""Prometheus metrics of late feedback, read when scraped."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry_core.evidence.window import MICROS
from skerry_core.labels.standing import Standing
from skerry_edge.labels.labels import Labels

_SIDE = ("model", "digest", "variant")


class LabelCollector(Collector):
    """What labels tell of the predictions that the node holds."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels

    def collect(self) -> Iterator[Metric]:
        tally, counts = self._labels.tally, self._labels.counts
        predictions = GaugeMetricFamily(
            "skerry_labelled_predictions",
            "Predictions that labels tell of, by whether training may use them, or why not.",
            labels=("standing",),
        )
        for standing in Standing:
            predictions.add_metric((standing,), tally.standings.get(standing, 0))
        yield predictions
        rows = GaugeMetricFamily("skerry_labelled_rows", "Rows whose label counts.", labels=_SIDE)
        error = GaugeMetricFamily(
            "skerry_labelled_error",
            "Mean error of these rows: the share that is wrong (accuracy is 1 less it), or the mean distance.",
            labels=_SIDE,
        )
        for side, total in sorted(tally.sides.items()):
            names = f"{side.namespace}/{side.model}", side.digest, side.variant
            rows.add_metric(names, total.rows)
            error.add_metric(names, total.error / total.rows / MICROS)
        yield rows
        yield error
        yield CounterMetricFamily("skerry_labels", "Labels that were read from the log.", value=counts.read)
        yield CounterMetricFamily("skerry_labels_repeated", "Labels that said nothing new.", value=counts.repeated)
        yield CounterMetricFamily(
            "skerry_labels_elsewhere",
            "Labels for other nodes' predictions.",
            value=counts.elsewhere,
        )
        yield CounterMetricFamily(
            "skerry_labels_forgotten", "Labelled predictions that gave way to newer ones.", value=counts.forgotten
        )
