"""One stream's session with the broker, over paho-mqtt: the only module that knows paho.

MQTT 5, QoS 1, a stable client id and a session that outlives connections: while the node is away the broker keeps what
comes. Each stream has a session of its own, because acknowledgements go out in the order of arrival (MQTT 5, section
4.6): a stream that is full must not hold back another.

Where several nodes have one broker, each of them would take every message. With `shared`, filters are shared
subscriptions (section 4.8.2), so that one node takes each message. That is asked for, not assumed: mosquitto 2.0
forgets shared subscriptions when it restarts, and what is published before the nodes are back is then nobody's.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from skerry_edge.ingest.limits import KIB, MAX_RAW_EVENT
from skerry_edge.ingest.mqtt.broker import Broker
from skerry_edge.ingest.mqtt.payload import Message
from skerry_edge.ingest.mqtt.redeliveries import RECEIVE_MAXIMUM

# The broker keeps what comes for a node that is away for this long.
_SESSION_SECONDS = 7 * 24 * 3600
# A larger packet is not sent by the broker (MQTT 5, section 3.1.2.11.4); one that is just too large is a dead letter.
_MAX_PACKET = MAX_RAW_EVENT + 64 * KIB
_KEEP_ALIVE = 30
_RECONNECT_SECONDS = (1, 60)
_SHARED = "$share/"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Callbacks:
    """What the session's thread calls. `connected` is told whether the session was resumed.

    None but `message` may block; while it does, nothing is read from the connection.
    """

    connected: Callable[[bool], None]
    lost: Callable[[], None]
    message: Callable[[Message], None]


class Session:
    """Connects, and reconnects with growing pauses, until it is left; from another thread than its owner's."""

    def __init__(self, broker: Broker, stream: str, client_id: str, filters: tuple[str, ...], calls: Callbacks) -> None:
        """Make ready; nothing is sent before `start`. Raises UserMustActError `BrokerInvalid`."""
        self._stream = stream
        self._filters = filters
        self._shared = broker.shared
        self._calls = calls
        self._number = 0
        self._connected = False
        self._lock = threading.Lock()
        self._client = client = Client(
            CallbackAPIVersion.VERSION2, client_id, protocol=MQTTProtocolVersion.MQTTv5, manual_ack=True
        )
        client.reconnect_delay_set(*_RECONNECT_SECONDS)
        username = broker.text("username")
        if username is not None:
            client.username_pw_set(username, broker.text("password"))
        if broker.tls:
            client.tls_set_context(broker.tls_context())
        client.on_connect = self._on_connect
        client.on_connect_fail = self._on_connect_fail
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        asked = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
        asked.SessionExpiryInterval = _SESSION_SECONDS
        asked.ReceiveMaximum = RECEIVE_MAXIMUM
        asked.MaximumPacketSize = _MAX_PACKET
        client.connect_async(broker.host, broker.port, _KEEP_ALIVE, clean_start=False, properties=asked)

    def start(self) -> None:
        """Begin, or begin again if the session's thread has ended by an error."""
        self._client.loop_start()

    def subscribe(self, filters: tuple[str, ...]) -> None:
        """Have these filters from now on."""
        with self._lock:
            gone = [self._spelled(each) for each in self._filters if each not in filters]
            self._filters = filters
            connected = self._connected
        if connected:
            if gone:
                self._client.unsubscribe(gone)
            self._subscribe_all()

    def acknowledge(self, message: Message) -> None:
        """Tell the broker that a message is durable, by the connection that brought it.

        If that one is over, the broker sends the message again; acknowledged twice, an identifier could by then be
        another message's.
        """
        with self._lock:
            known = self._connected and message.connection == self._number
        if known and message.qos:
            self._client.ack(message.mid, message.qos)

    def leave(self, *, end: bool) -> None:
        """Disconnect; with `end` the broker keeps nothing for this session any more."""
        properties = Properties(PacketTypes.DISCONNECT)  # type: ignore[no-untyped-call]
        if end:
            properties.SessionExpiryInterval = 0
        self._client.disconnect(properties=properties)
        self._client.loop_stop()

    # Called by paho

    def _on_connect(
        self, _client: Client, _data: object, flags: ConnectFlags, code: ReasonCode, _given: Properties | None
    ) -> None:
        if code.is_failure:
            _log.warning("broker refuses the connection", stream=self._stream, reason=str(code))
            self._calls.lost()
            return
        with self._lock:
            self._number += 1
            self._connected = True
        _log.info("connected to the broker", stream=self._stream, resumed=flags.session_present)
        self._calls.connected(flags.session_present)
        self._subscribe_all()

    def _on_connect_fail(self, _client: Client, _data: object) -> None:
        self._calls.lost()

    def _on_disconnect(
        self, _client: Client, _data: object, _flags: DisconnectFlags, code: ReasonCode, _given: Properties | None
    ) -> None:
        with self._lock:
            was, self._connected = self._connected, False
        if was:
            _log.warning("connection to the broker is over", stream=self._stream, reason=str(code))
            self._calls.lost()

    def _on_message(self, _client: Client, _data: object, found: MQTTMessage) -> None:
        try:
            topic = found.topic
        except UnicodeDecodeError:
            # Not MQTT (section 1.5.4): no broker passes it on, and no filter of ours can mean it.
            self._client.ack(found.mid, found.qos)
            return
        given = found.properties
        self._calls.message(
            Message(
                topic=topic,
                payload=bytes(found.payload),
                qos=found.qos,
                mid=found.mid,
                again=bool(found.dup),
                connection=self._number,
                content_type=str(getattr(given, "ContentType", "")),
                properties=tuple(getattr(given, "UserProperty", ())),
            )
        )

    def _subscribe_all(self) -> None:
        # Retained messages are for those who come new, not for each connection (with shared ones there are none).
        options = SubscribeOptions(qos=1, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)
        if self._filters:
            self._client.subscribe([(self._spelled(each), options) for each in self._filters])

    def _spelled(self, topic_filter: str) -> str:
        if topic_filter.startswith(_SHARED) or not self._shared:
            return topic_filter
        return f"{_SHARED}skerry-{self._stream}/{topic_filter}"
