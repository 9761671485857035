"""Counts errors by class: the module that told of one and its reason. Never a message, a path or a value.

Every fault of a process is logged, as a warning or worse, so the log is where they are counted.
"""

import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.processors import CallsiteParameter, CallsiteParameterAdder
from structlog.types import EventDict, WrappedLogger

UNCLASSIFIED = "Unclassified"
OTHER = "Other"
# Reasons are words of the code; whatever else stands there is none of ours to tell.
_REASON = re.compile(r"[A-Z][A-Za-z0-9]{0,63}")
_MAX_CLASSES = 64
_COUNTED = frozenset({"warning", "error", "critical", "exception"})
_module_of = CallsiteParameterAdder({CallsiteParameter.MODULE}, additional_ignores=[__name__])


class ErrorClasses(Collector):
    """A structlog processor that changes nothing, and a Prometheus collector of what it saw. Threads share it."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> EventDict:
        """Count a line of the log. Must come before tracebacks are rendered."""
        if method in _COUNTED:
            self.count(str(_module_of(logger, method, {})["module"]), reason_of(event))
        return event

    def count(self, module: str, reason: str) -> None:
        """Count one error."""
        with self._lock:
            known = (module, reason) in self._counts or len(self._counts) < _MAX_CLASSES
            self._counts[(module, reason) if known else (OTHER, OTHER)] += 1

    def collect(self) -> Iterator[Metric]:
        family = CounterMetricFamily("skerry_errors", "Warnings and errors, by class.", labels=("module", "reason"))
        with self._lock:
            for labels, count in self._counts.items():
                family.add_metric(labels, count)
        yield family


def reason_of(event: EventDict) -> str:
    """The reason that a line gives, the class of its exception otherwise."""
    reason = event.get("reason")
    if isinstance(reason, str) and _REASON.fullmatch(reason):
        return reason
    exception = event.get("exc_info")
    if exception is True:
        exception = sys.exc_info()
    if isinstance(exception, tuple):
        exception = exception[1]
    return type(exception).__name__ if isinstance(exception, BaseException) else UNCLASSIFIED
