"""One stream's messages: taken from the session, stored in batches, acknowledged when they are durable.

What can't be stored is not dropped: the batch is tried again until it can, nothing is acknowledged meanwhile, and the
broker, which may have only so many messages unacknowledged, waits. Where these are large, no more is read from the
connection until there is room; if that takes the broker too long it ends the connection, and sends them again.
"""

import threading
from collections import deque
from collections.abc import Callable, Sequence

import structlog
from paho.mqtt.client import topic_matches_sub

from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.errors import Malformed, RefusedError
from skerry_edge.ingest.intake import Intake
from skerry_edge.ingest.limits import MAX_STORED_BYTES, MAX_WAITING_BYTES
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.mqtt.broker import Broker
from skerry_edge.ingest.mqtt.payload import Message, content_hash, read_message
from skerry_edge.ingest.mqtt.redeliveries import RECEIVE_MAXIMUM, Redeliveries
from skerry_edge.ingest.mqtt.session import Callbacks, Session
from skerry_edge.ingest.stream import Stream

# Messages that came without a promise (QoS 0) and wait to be stored.
_MAX_UNPROMISED = 256
# What a byte of a payload, or a character of anything else, may take in JSON at most; and what an event has besides,
# most of it the source that is made of a topic.
_ESCAPED = 6
_ENVELOPE = 2 << 10
_MAX_PAUSE = 30.0
_FIRST_PAUSE = 0.5
_MQTT = "mqtt"

_log = structlog.get_logger(__name__)


class Subscriber:
    """Has two threads: the session's, which only queues (it may have to wait for room), and one that stores."""

    def __init__(
        self,
        stream: Stream,
        broker: Broker,
        client_id: str,
        *,
        intake: Intake,
        metrics: IngestMetrics,
        clock: Callable[[], int],
    ) -> None:
        """`clock` gives microseconds since 1970 UTC. Raises UserMustActError `BrokerInvalid`."""
        self.broker = broker
        self.stream = stream
        self.filters = stream.policy.mqtt_topics
        self._name = stream.policy.name
        self._intake = intake
        self._metrics = metrics
        self._clock = clock
        self._redeliveries = Redeliveries(stream.recalled_messages)
        self._queue: deque[Message] = deque()
        self._waiting = 0
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"mqtt-{self._name}", daemon=True)
        calls = Callbacks(self._connected, self._lost, self._came)
        self._session = Session(broker, self._name, client_id, self.filters, calls)

    def start(self) -> None:
        """Connect and begin to store."""
        self._metrics.mqtt_connected.labels(self._name).set(0)
        self._thread.start()
        self._session.start()

    def tend(self, filters: tuple[str, ...]) -> None:
        """Go by these filters, and begin again what an error has ended."""
        if filters != self.filters:
            self.filters = filters
            self._session.subscribe(filters)
        self._session.start()

    def stop(self, *, end: bool = False) -> None:
        """Leave the broker; with `end` it keeps nothing for this stream any more."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()
        self._thread.join(timeout=5)
        self._session.leave(end=end)
        self._metrics.mqtt_connected.labels(self._name).set(0)

    # The session's thread

    def _connected(self, resumed: bool) -> None:  # noqa: FBT001 - the one thing that the session tells
        self._metrics.mqtt_connected.labels(self._name).set(1)
        self._metrics.mqtt_connections.labels(self._name).inc()
        with self._changed:
            if resumed:
                # They come again; kept as well, they would pile up with every connection.
                unpromised = [message for message in self._queue if not message.qos]
                self._queue.clear()
                self._queue.extend(unpromised)
                self._count(sum(message.size for message in unpromised) - self._waiting)
            else:
                self._redeliveries.forget()

    def _lost(self) -> None:
        self._metrics.mqtt_connected.labels(self._name).set(0)
        self._metrics.mqtt_failures.labels(self._name).inc()

    def _came(self, message: Message) -> None:
        with self._changed:
            if not message.qos and not self._takes_unpromised(message):
                self._metrics.mqtt_dropped.labels(self._name, "NoRoom").inc()
                return
            self._changed.wait_for(lambda: self._has_room(message) or self._stopping.is_set())
            if message.qos and not message.again:
                self._redeliveries.begun(message.mid)
            self._queue.append(message)
            self._count(message.size)
            self._changed.notify_all()

    def _has_room(self, message: Message) -> bool:
        return not self._queue or self._waiting + message.size <= MAX_WAITING_BYTES

    def _takes_unpromised(self, message: Message) -> bool:
        return self._has_room(message) and sum(not waiting.qos for waiting in self._queue) < _MAX_UNPROMISED

    def _count(self, more: int) -> None:
        self._waiting += more
        self._metrics.mqtt_waiting.labels(self._name).set(self._waiting)

    # The storing thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._changed:
                while not self._queue and not self._stopping.is_set():
                    self._changed.wait()
                batch = self._next_batch()
            try:
                self._store(batch)
            except Exception:  # noqa: BLE001 - a bug costs these messages' acknowledgement, never the stream's
                _log.exception("messages can't be stored", stream=self._name)
                self._stopping.wait(_MAX_PAUSE)

    def _next_batch(self) -> list[Message]:
        """As much as one request may store, but at least one message if there is any."""
        batch: list[Message] = []
        size = 0
        while self._queue and len(batch) < RECEIVE_MAXIMUM:
            size += _ESCAPED * self._queue[0].size + _ENVELOPE
            if batch and size > MAX_STORED_BYTES:
                break
            batch.append(self._queue.popleft())
            self._count(-batch[-1].size)
        self._changed.notify_all()
        return batch

    def _store(self, batch: Sequence[Message]) -> None:
        mapped = [message for message in batch if self._is_mapped(message.topic)]
        if unmapped := len(batch) - len(mapped):
            self._metrics.mqtt_dropped.labels(self._name, "TopicNotMapped").inc(unmapped)
        with self._changed:
            fresh = [message for message in mapped if not self._is_known(message)]
        self._metrics.duplicates.labels(self._name, _MQTT).inc(len(mapped) - len(fresh))
        if fresh and not self._take(fresh):
            return
        with self._changed:
            for message in fresh:
                if message.qos:
                    self._redeliveries.stored(message.mid, content_hash(message))
        for message in batch:
            self._session.acknowledge(message)

    def _is_mapped(self, topic: str) -> bool:
        return any(topic_matches_sub(_bare(each), topic) for each in self.filters)

    def _is_known(self, message: Message) -> bool:
        return message.again and self._redeliveries.knows(message.mid, content_hash(message))

    def _take(self, messages: Sequence[Message]) -> bool:
        """Store, however long it takes; False if the process ends first."""
        received = self._clock()

        def parse() -> list[Event | Malformed]:
            return [read_message(message, received) for message in messages]

        paused = self._metrics.mqtt_paused.labels(self._name)
        pause = _FIRST_PAUSE
        while True:
            try:
                self._intake.take(self.stream, parse, via=_MQTT, origin=lambda index: f"mqtt:{messages[index].topic}")
            except RefusedError as error:
                self._metrics.refused.labels(_MQTT, error.reason).inc()
                if pause == _FIRST_PAUSE:
                    _log.warning("messages wait at the broker", stream=self._name, reason=error.reason)
                paused.set(1)
                if self._stopping.wait(min(pause, error.retry_after or pause)):
                    return False
                pause = min(2 * pause, _MAX_PAUSE)
                continue
            paused.set(0)
            return True


def _bare(topic_filter: str) -> str:
    """The filter that a shared subscription is for."""
    return topic_filter.split("/", 2)[2] if topic_filter.startswith("$share/") else topic_filter
