"""A subscriber for every stream that maps topics, as policy, streams and the broker's files are now."""

import threading
from collections.abc import Callable
from pathlib import Path

import structlog

from skerry_core.errors import SkerryError
from skerry_edge.ingest.intake import Intake
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.mqtt.broker import Broker, load_broker
from skerry_edge.ingest.mqtt.subscriber import Subscriber
from skerry_edge.ingest.stream import Stream

_log = structlog.get_logger(__name__)


class Subscribers:
    """Starts and stops them; used by one thread."""

    def __init__(
        self,
        folder: Path,
        site: str,
        node: str,
        *,
        intake: Intake,
        metrics: IngestMetrics,
        clock: Callable[[], int],
    ) -> None:
        """`folder` holds the broker's files (see `broker`); `clock` gives microseconds since 1970 UTC."""
        self._folder = folder
        self._client_id = f"skerry-{site}-{node}"
        self._intake = intake
        self._metrics = metrics
        self._clock = clock
        self._running: dict[str, Subscriber] = {}
        self._complaint = ""

    def apply(self, streams: dict[str, Stream]) -> None:
        """Have what these streams ask for; errors are logged once, and tried again with the next call."""
        try:
            self._apply(load_broker(self._folder), streams)
            self._complaint = ""
        except SkerryError as error:
            if str(error) != self._complaint:
                _log.error("broker can't be used", reason=error.reason, message=str(error))
            self._complaint = str(error)

    def stop(self) -> None:
        """Leave the broker, which keeps what comes until the next start; all at once, for each may take seconds."""
        leaving = [threading.Thread(target=subscriber.stop, daemon=True) for subscriber in self._running.values()]
        for thread in leaving:
            thread.start()
        for thread in leaving:
            thread.join()
        self._running.clear()

    def _apply(self, broker: Broker | None, streams: dict[str, Stream]) -> None:
        wanted = {name: stream for name, stream in streams.items() if broker is not None and stream.policy.mqtt_topics}
        for name, running in tuple(self._running.items()):
            stream = wanted.get(name)
            if stream is None or running.broker != broker or running.stream is not stream:
                # A session that nobody will come back to would keep messages for days. But settings that aren't there
                # may be about to be written: nothing is over then.
                unmapped = name not in streams or not streams[name].policy.mqtt_topics
                moved = broker is not None and _address(running.broker) != _address(broker)
                running.stop(end=unmapped or moved)
                del self._running[name]
        for name, stream in wanted.items():
            if name in self._running:
                self._running[name].tend(stream.policy.mqtt_topics)
            elif broker is not None:
                subscriber = Subscriber(
                    stream,
                    broker,
                    f"{self._client_id}-{name}",
                    intake=self._intake,
                    metrics=self._metrics,
                    clock=self._clock,
                )
                subscriber.start()
                self._running[name] = subscriber


def _address(broker: Broker | None) -> tuple[str, int] | None:
    return None if broker is None else (broker.host, broker.port)
