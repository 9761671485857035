"""What ingest tells Prometheus."""

from collections.abc import Iterable
from datetime import datetime

from prometheus_client import CollectorRegistry, Counter, Gauge

from skerry_operator.ingest.step import Outcome


class Metrics:
    """Counters and gauges of one ingester, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        by_stream, by_site = ["stream"], ["site", "stream"]
        self._events = self._counter("events", "Events added to tables.", by_site)
        self._batches = self._counter("batches", "Batches ingested.", by_stream)
        self._set_aside = self._counter(
            "set_aside_events", "Events kept whole, as they don't fit their table.", by_stream
        )
        self._damaged = self._counter("damaged_batches", "Batches that couldn't be read and were set aside.", by_stream)
        self._absent = self._counter(
            "absent_events", "Sequence numbers that sites say have no event.", [*by_stream, "reason"]
        )
        self._commits = self._counter("commits", "Commits to tables.", by_stream)
        self._conflicts = self._counter("commit_conflicts", "Commits given up since another came first.", by_stream)
        self._failures = self._counter("failures", "Passes that failed, by reason.", [*by_stream, "reason"])
        self._deleted = self._counter("deleted_batches", "Ingested batches deleted from the store.", by_stream)
        self._lag = self._gauge("lag_seconds", "Age of a site's newest event when it was last added to.", by_site)
        self._newest = self._gauge(
            "newest_event_timestamp_seconds", "When a site's newest event came in there.", by_site
        )
        self._gaps = self._gauge("open_gaps", "Gaps in sites' logs.", [*by_stream, "state"])
        self._left = self._gauge("batches_left", "Listed batches that wait for a further commit.", by_stream)
        self._strangers = self._gauge(
            "strange_objects", "Objects below sites/ that are neither batches nor requests.", []
        )
        self._last = self._gauge("last_pass_timestamp_seconds", "When the store was last looked through.", [])

    def took(self, stream: str, outcome: Outcome, now: datetime) -> None:
        """Count a step that was committed."""
        self._left.labels(stream).set(outcome.left)
        if not outcome.taken and not outcome.damaged:
            return
        self._commits.labels(stream).inc(bool(outcome.taken))
        self._batches.labels(stream).inc(len(outcome.taken))
        self._damaged.labels(stream).inc(len(outcome.damaged))
        newest: dict[str, int] = {}
        for each in outcome.taken:
            site = each.take.batch.log.site
            self._events.labels(site, stream).inc(each.rows)
            self._set_aside.labels(stream).inc(each.set_aside)
            for absent in each.absent:
                self._absent.labels(stream, absent.reason).inc(absent.last - absent.first + 1)
            if each.received is not None:
                newest[site] = max(newest.get(site, each.received), each.received)
        for site, received in newest.items():
            self._lag.labels(site, stream).set(max(now.timestamp() - received / 1e6, 0))
            self._newest.labels(site, stream).set(received / 1e6)

    def conflicted(self, stream: str) -> None:
        """Count a lost race."""
        self._conflicts.labels(stream).inc()

    def failed(self, stream: str, reason: str) -> None:
        """Count a failure."""
        self._failures.labels(stream, reason).inc()

    def deleted(self, stream: str, count: int) -> None:
        """Count batches that went."""
        self._deleted.labels(stream).inc(count)

    def gaps(self, counts: Iterable[tuple[tuple[str, str], int]]) -> None:
        """Say how many gaps there are by (stream, state)."""
        self._gaps.clear()
        for (stream, state), count in counts:
            self._gaps.labels(stream, state).set(count)

    def listed(self, strangers: int) -> None:
        """Say how many objects nobody knows."""
        self._strangers.set(strangers)

    def passed(self, now: datetime) -> None:
        """Note that the store was looked through."""
        self._last.set(now.timestamp())

    def _counter(self, name: str, text: str, labels: list[str]) -> Counter:
        return Counter(f"skerry_ingest_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, labels: list[str]) -> Gauge:
        return Gauge(f"skerry_ingest_{name}", text, labels, registry=self.registry)
