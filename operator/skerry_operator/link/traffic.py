"""Every byte between a site's operator and its hub's API server, by purpose.

What goes over nodes' own connections is counted by their sync (`skerry_edge.sync.traffic`).
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter


class Purpose(StrEnum):
    """What a request to the hub is for, its connection's TLS handshake included."""

    ASSIGNMENT = "Assignment"
    GRANT = "Grant"
    REPORT = "Report"  # heartbeats too: they are reports that say nothing new
    ENROLLMENT = "Enrollment"  # the first certificate, and each renewal
    OTHER = "Other"  # nothing, as long as all that asks the hub says what for


_SENT, _RECEIVED = "sent", "received"

# Of the thread that makes a request, which is the one that reads its answer.
_purpose: ContextVar[Purpose] = ContextVar("purpose of what goes to the hub", default=Purpose.OTHER)


@contextmanager
def counted_as(purpose: Purpose) -> Iterator[None]:
    """What this thread sends to the hub and receives from it meanwhile is for this."""
    token = _purpose.set(purpose)
    try:
        yield
    finally:
        _purpose.reset(token)


def each_counted_as(purpose: Purpose, events: Iterable[object]) -> Iterator[None]:
    """Wait for each event in turn for this purpose; what the caller does between them is not for it."""
    steps = iter(events)
    while True:
        with counted_as(purpose):
            if next(steps, _END) is _END:
                return
        yield


_END = object()


class LinkTraffic:
    """The meter of all connections to the hub (`skerry_core.store.metered`); threads share it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        counter = Counter(
            "skerry_link_bytes",
            "Bytes between the site's operator and its hub's API server: HTTP heads and bodies, and TLS handshakes by "
            "estimate.",
            ("direction", "purpose"),
            registry=registry,
        )
        self._sent = {purpose: counter.labels(_SENT, purpose.value) for purpose in Purpose}
        self._received = {purpose: counter.labels(_RECEIVED, purpose.value) for purpose in Purpose}

    def sent(self, size: int) -> None:
        """As a meter's."""
        self._sent[_purpose.get()].inc(size)

    def received(self, size: int) -> None:
        """As a meter's."""
        self._received[_purpose.get()].inc(size)
