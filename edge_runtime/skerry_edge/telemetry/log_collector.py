"""Prometheus metrics of a process's event logs, read when scraped."""

from collections.abc import Callable, Iterator, Mapping

import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from skerry_edge.events.settings import LogStatus, StreamSettings

_log = structlog.get_logger(__name__)

_GAUGES: Mapping[str, tuple[str, Callable[[LogStatus], int]]] = {
    "skerry_log_bytes": ("Bytes in a log's segments.", lambda log: log.size),
    "skerry_log_next_seq": ("Number of a log's next record.", lambda log: log.next_seq),
}
_COUNTERS: Mapping[str, tuple[str, Callable[[LogStatus], int]]] = {
    "skerry_log_dropped": ("Records that were to be logged and found no room.", lambda log: log.dropped),
    "skerry_log_refused": ("Records that their producers were told found no room.", lambda log: log.refused),
    "skerry_log_expired": ("Records removed for their age, sent or not.", lambda log: log.expired),
    "skerry_log_failed_syncs": ("Failed fsyncs of a log.", lambda log: log.failed_syncs),
    "skerry_log_damaged_bytes": ("Bytes of a log that can't be read any more.", lambda log: log.damaged),
}


class LogCollector(Collector):
    """`status` and `settings` give those of every open log, by stream."""

    def __init__(
        self,
        status: Callable[[], Mapping[str, LogStatus]],
        settings: Callable[[], Mapping[str, StreamSettings]],
    ) -> None:
        self._status = status
        self._settings = settings

    def collect(self) -> Iterator[Metric]:
        try:
            logs, settings = self._status(), self._settings()
        except OSError as error:
            _log.warning("logs can't be looked at", reason="DiskFault", error=str(error))
            return
        for name, (text, value) in _GAUGES.items():
            gauge = GaugeMetricFamily(name, text, labels=("stream",))
            for stream, log in logs.items():
                gauge.add_metric((stream,), value(log))
            yield gauge
        for name, (text, value) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=("stream",))
            for stream, log in logs.items():
                counter.add_metric((stream,), value(log))
            yield counter
        limit = GaugeMetricFamily("skerry_log_limit_bytes", "Bytes that a log may have.", labels=("stream",))
        info = InfoMetricFamily("skerry_log", "A log's epoch, and the rank of its stream's tier.", labels=("stream",))
        for stream, each in settings.items():
            if stream in logs:
                limit.add_metric((stream,), each.max_bytes)
                info.add_metric((stream,), {"epoch": logs[stream].epoch, "tier": str(each.tier)})
        yield limit
        yield info
