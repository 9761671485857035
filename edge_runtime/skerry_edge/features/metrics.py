"""Prometheus metrics of the feature store, read when scraped."""

from collections.abc import Callable, Iterator, Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry_edge.features.clock import Clock
from skerry_edge.features.course import Course
from skerry_edge.features.features import Features

_LABELS = ("set", "version")
_GAUGES: Mapping[str, tuple[str, Callable[[Course], float]]] = {
    "skerry_feature_entities": ("Entities of a feature set.", lambda course: course.version.entities),
    "skerry_feature_bytes": ("Bytes of a feature set's states.", lambda course: course.version.size),
    "skerry_feature_warm": ("1 if it has caught up with its stream once.", lambda course: course.warm),
    "skerry_feature_failed": ("1 if it goes no further, by a bug that raises.", lambda course: bool(course.failure)),
    "skerry_feature_lag_records": ("Records that have yet to be applied.", lambda course: course.behind),
}
_COUNTERS: Mapping[str, tuple[str, Callable[[Course], int]]] = {
    "skerry_feature_events": ("Events that were applied.", lambda course: course.version.counts.applied),
    "skerry_feature_late": ("Events that came too late.", lambda course: course.version.counts.late),
    "skerry_feature_undecided": ("Values that can't be computed.", lambda course: course.version.counts.undecided),
    "skerry_feature_evicted": ("Entities forgotten for their limits.", lambda course: course.version.counts.evicted),
    "skerry_feature_purged": (
        "Entities forgotten since consent for events of theirs, or of any where the key doesn't tell, was withdrawn.",
        lambda course: course.version.counts.purged,
    ),
    "skerry_feature_letters_lost": (
        "Refused events of which no dead letter could be kept.",
        lambda course: course.version.counts.letters_lost,
    ),
}


class FeatureCollector(Collector):
    """Metrics of every version that is computed."""

    def __init__(self, features: Features, clock: Clock) -> None:
        self._features = features
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        courses = [(_labels(course), course) for course in self._features.courses()]
        for name, (text, level) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=_LABELS)
            for labels, course in courses:
                gauge.add_metric(labels, level(course))
            yield gauge
        for name, (text, count) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=_LABELS)
            for labels, course in courses:
                counter.add_metric(labels, count(course))
            yield counter
        refused = CounterMetricFamily("skerry_feature_refused", "Events refused.", labels=(*_LABELS, "reason"))
        lag = GaugeMetricFamily(
            "skerry_feature_lag_seconds",
            "How much older than now what was applied last is; 0 at the head.",
            labels=_LABELS,
        )
        freshness = GaugeMetricFamily(
            "skerry_feature_newest_seconds", "Age of the newest event that was applied.", labels=_LABELS
        )
        unfed = GaugeMetricFamily(
            "skerry_feature_unfed",
            "1 where no event will count, as the SyncPolicy in force stands, and why.",
            labels=(*_LABELS, "reason"),
        )
        now = self._clock.read().wall
        for labels, course in courses:
            newest = course.version.newest_received
            age = max(now - newest, 0) / 1e6 if newest else 0.0
            lag.add_metric(labels, age if course.behind else 0.0)
            freshness.add_metric(labels, age)
            trouble = self._features.unfed(course.version.engine.document)
            if trouble is not None:
                unfed.add_metric((*labels, trouble[0]), 1)
            for reason, number in tuple(course.version.counts.refused.items()):
                refused.add_metric((*labels, reason), number)
        adopted = GaugeMetricFamily(
            "skerry_feature_adopted_timestamp_seconds",
            "When another node's snapshot that was taken over was made, in seconds since 1970; by that node.",
            labels=(*_LABELS, "node"),
        )
        for labels, course in courses:
            if (taken := course.version.adopted) is not None:
                adopted.add_metric((*labels, taken.node), taken.made / 1e6)
        yield refused
        yield adopted
        yield unfed
        yield lag
        yield freshness
        yield GaugeMetricFamily(
            "skerry_feature_store_bytes", "Bytes of the feature store on disk.", value=self._features.store_size()
        )
        yield CounterMetricFamily(
            "skerry_feature_rebuilds", "Times that a damaged store was put aside.", value=self._features.rebuilt
        )


def _labels(course: Course) -> tuple[str, str]:
    document = course.version.engine.document
    return f"{document.namespace}/{document.name}", document.version
