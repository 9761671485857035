"""A site without its link, long enough for a backlog, an alert and an overrun, and what is done to it on its return."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime

from skerry_edge.events.reader import LogReader
from tests.cluster.lab.waiting import wait_for
from tests.e2e.events.device import event
from tests.e2e.events.hub import EventsHub
from tests.e2e.events.site import Answer, EventsSite, kill

BACKLOG = 3_600  # events, at least
_HOT = 96.0
_TRACE_BYTES = 30_000
_SOON = 60.0


@dataclass(frozen=True)
class Outage:
    """One that is over. `refused` is what the full stream answered; `killed` counts sync's and ingest's processes."""

    cut: datetime
    joined: datetime
    hot_event: str
    refused: Answer
    killed: tuple[int, int]
    killed_at: datetime


def happened(site: EventsSite, hub: EventsHub) -> Outage:
    """Cut the link, let things go wrong, join it, and kill sync and ingest amidst the backlog."""
    hot = f"hot-{secrets.token_hex(4)}"
    site.start_device()
    hub.wait("the first readings", "SELECT 1 FROM readings LIMIT 1", _SOON)
    site.cluster.cut()
    cut = _now()
    before = _events(site)
    try:
        wait_for("half of the backlog", lambda: _events(site) - before >= BACKLOG // 2, seconds=_SOON)
        refused = _fill_traces(site)
        wait_for("the node notes the overrun", lambda: _logged(site, "telemetry", "overrun.started"), seconds=_SOON)
        wait_for("a backlog", lambda: _events(site) - before >= BACKLOG, seconds=_SOON)
        site.send("readings", event(hot, {"celsius": _HOT}, subject="press-1"))
        wait_for("the node makes an alert", lambda: _logged(site, "alerts", "overheated"), seconds=_SOON)
    finally:
        there = set(hub.keys("readings"))
        site.cluster.join()
    joined = _now()
    wait_for("the backlog begins to come", lambda: set(hub.keys("readings")) > there, seconds=_SOON)
    killed_at = _now()
    killed = kill(site.cluster, "skerry_edge.sync"), kill(hub.cluster, "skerry_operator.ingest")
    told = len(site.acknowledged())
    wait_for("the device is answered", lambda: len(site.acknowledged()) > told + 1, seconds=_SOON)
    site.stop_devices()
    return Outage(cut, joined, hot, refused, killed, killed_at)


def _fill_traces(site: EventsSite) -> Answer:
    """Send to the small stream until it takes no more."""
    for number in range(100):
        trace = secrets.token_hex(_TRACE_BYTES // 2)
        answer = site.send("traces", event(f"trace-{number}", {"trace": trace}, subject="press-1"))
        if answer.status != 200:
            return answer
    raise AssertionError("the stream takes in more than its maxBytes")


def _events(site: EventsSite) -> int:
    return sum(len(line.ids) for line in site.acknowledged())


def _logged(site: EventsSite, stream: str, words: str) -> bool:
    """Whether a log of sync's own has a record with these words."""
    return any(
        words.encode() in batch.body(index)
        for batch in LogReader(site.disk / "sync/log" / stream).read(1, 10_000)
        for index in range(len(batch))
    )


def _now() -> datetime:
    return datetime.now(UTC)
