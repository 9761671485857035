"""Tells how far back each stream really remembers producers' ids, and warns once where that is less than declared."""

from collections.abc import Mapping

import structlog

from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.stream import Stream

_log = structlog.get_logger(__name__)

_ADVICE = (
    "a retry of an older event is stored as another one; ids are remembered for all streams together, about a million:"
    " set maxRate on streams that bring few events, so that this one gets what they leave, or declare a shorter"
    " dedupWindow"
)


class DedupWatch:
    """Looked at by one thread."""

    def __init__(self, metrics: IngestMetrics) -> None:
        self._gauge = metrics.dedup_window
        self._shown: frozenset[str] = frozenset()
        self._short: set[str] = set()

    def look(self, streams: Mapping[str, Stream]) -> None:
        """Tell of all open streams, by name."""
        for name in self._shown - streams.keys():
            self._gauge.remove(name)
        self._shown = frozenset(streams)
        self._short &= streams.keys()
        for name, stream in streams.items():
            reach, declared = stream.dedup_reach, stream.policy.dedup_window
            self._gauge.labels(name).set(reach.total_seconds())
            if reach >= declared:
                self._short.discard(name)
            elif name not in self._short:
                self._short.add(name)
                _log.warning(
                    "producers' ids are remembered for less than declared",
                    reason="DedupWindowShort",
                    stream=name,
                    declared_seconds=declared.total_seconds(),
                    remembered_seconds=round(reach.total_seconds(), 1),
                    message=_ADVICE,
                )
