"""From metrics as Prometheus knows them to a process's figures. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from skerry_core.errors import RetryError
from skerry_edge.telemetry.catalogue import (
    COUNTS,
    DURATIONS,
    LEVELS,
    LOG_INFO,
    PROCESS_COUNTS,
    PROCESS_LEVELS,
    RUN_INFO,
    Count,
    Duration,
    Level,
)
from skerry_edge.telemetry.measures import Key, Measures
from skerry_edge.telemetry.sketch import index_of

_COUNTS: Mapping[str, Count] = {count.sample: count for count in (*COUNTS, *PROCESS_COUNTS)}
_LEVELS: Mapping[str, Level] = {level.sample: level for level in (*LEVELS, *PROCESS_LEVELS)}
_DURATIONS: Mapping[str, Duration] = {duration.family: duration for duration in DURATIONS}


def parse(text: str) -> list[Metric]:
    """Read the text format. Raises RetryError MetricsMalformed."""
    try:
        return list(text_string_to_metric_families(text))
    except (ValueError, KeyError, IndexError) as error:
        raise RetryError("MetricsMalformed", "the metrics of a process can't be read") from error


def measure(families: Iterable[Metric]) -> Measures:
    """The figures that summaries and incidents need. Raises RetryError MetricsMalformed if they name no run."""
    run = ""
    counts: defaultdict[Key, float] = defaultdict(float)
    levels: dict[Key, float] = {}
    logs: dict[str, Mapping[str, str]] = {}
    for family in families:
        for key, value in _durations(family):
            counts[key] += value
        for sample in family.samples:
            if (count := _COUNTS.get(sample.name)) is not None:
                by = _values(sample.labels, count.by)
                if not by or by[0] not in count.but:
                    counts[count.name, *by] += sample.value
            elif (level := _LEVELS.get(sample.name)) is not None:
                levels[level.name, *_values(sample.labels, level.by)] = sample.value
            elif sample.name == RUN_INFO:
                run = sample.labels.get("run", "")
            elif sample.name == LOG_INFO:
                logs[sample.labels.get("stream", "")] = sample.labels
    if not run:
        raise RetryError("MetricsMalformed", f"the metrics of a process have no {RUN_INFO}")
    return Measures(
        run,
        dict(counts),
        levels,
        epochs={stream: labels.get("epoch", "") for stream, labels in logs.items()},
        tiers={stream: int(labels.get("tier", "0")) for stream, labels in logs.items()},
    )


def _durations(family: Metric) -> Iterator[tuple[Key, float]]:
    duration = _DURATIONS.get(family.name)
    if duration is not None:
        for labels, index, value in _buckets(family):
            yield (duration.name, *_values(labels, duration.by), str(index)), value


def _buckets(family: Metric) -> Iterator[tuple[Mapping[str, str], int, float]]:
    """A histogram's buckets, each with its own count instead of that of all up to it."""
    series: defaultdict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = defaultdict(list)
    for sample in family.samples:
        if sample.name == f"{family.name}_bucket":
            labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
            series[labels].append((float(sample.labels["le"]), sample.value))
    for labels, buckets in series.items():
        below = 0.0
        for end, cumulative in sorted(buckets):
            yield dict(labels), index_of(end), cumulative - below
            below = cumulative


def _values(labels: Mapping[str, str], names: tuple[str, ...]) -> Key:
    return tuple(labels.get(name, "") for name in names)
