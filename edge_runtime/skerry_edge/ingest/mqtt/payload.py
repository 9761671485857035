"""A message to an event: the MQTT binding of CloudEvents 1.0, or plain JSON, which becomes the `data` of an event.

Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/mqtt-protocol-binding.md: structured mode,
and binary mode by MQTT 5's properties. A plain event's source is `mqtt:` and the topic, its time that of its arrival.
The topic is kept as the extension attribute `mqtttopic`, whatever the producer says that it is.
"""

import hashlib
import re
from dataclasses import dataclass
from urllib.parse import quote

from skerry_edge.ingest import cloudevent, json_shape, plain
from skerry_edge.ingest.cloudevent import Attribute, Event
from skerry_edge.ingest.errors import Malformed, MalformedError
from skerry_edge.ingest.limits import MAX_RAW_EVENT

TOPIC = "mqtttopic"
_SCHEME = "mqtt:"
# A made id: when the message came, its packet identifier, the hash of its content.
_MADE_ID = re.compile(r"([0-9a-f]{1,16})\.([0-9]{1,5})\.([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Message:
    """What of a PUBLISH packet counts here; `again` is its DUP flag, `mid` its packet identifier (0 with QoS 0).

    `connection` is the number of the connection that brought it.
    """

    topic: str
    payload: bytes
    qos: int
    mid: int
    again: bool
    connection: int
    content_type: str = ""
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def size(self) -> int:
        """Bytes that it holds of what was sent, about."""
        named = (self.topic, self.content_type, *(text for each in self.properties for text in each))
        return len(self.payload) + sum(map(len, named))


def read_message(message: Message, received: int) -> Event | Malformed:
    """Read a message that came at `received` (µs since 1970)."""
    if len(message.payload) > MAX_RAW_EVENT:
        return Malformed("TooLarge", f"an event may have at most {MAX_RAW_EVENT} bytes as it is sent", message.payload)
    try:
        return _read(message, received)
    except MalformedError as error:
        return Malformed(error.reason, str(error), message.payload)


def content_hash(message: Message) -> str:
    """Sixteen hexadecimal digits that tell a message's content from another's."""
    topic = message.topic.encode()
    return hashlib.blake2b(b"%d:%b%b" % (len(topic), topic, message.payload), digest_size=8).hexdigest()


def made_id(message: Message, received: int) -> str:
    """The id of a plain message."""
    return f"{received:x}.{message.mid}.{content_hash(message)}"


def parse_made_id(source: str, event_id: str) -> tuple[int, str] | None:
    """Packet identifier and content hash of an event that was made of a plain message; None of any other event."""
    found = _MADE_ID.fullmatch(event_id) if source.startswith(_SCHEME) else None
    return None if found is None else (int(found[2]), found[3])


def _read(message: Message, received: int) -> Event:
    media_type = message.content_type.partition(";")[0].strip().lower()
    properties = dict(message.properties)
    if "specversion" in properties:
        attributes: dict[str, Attribute] = {**properties, TOPIC: message.topic}
        if message.content_type:
            attributes["datacontenttype"] = message.content_type
        return cloudevent.from_bytes(attributes, message.payload)
    if media_type.startswith("application/cloudevents") and media_type != "application/cloudevents+json":
        raise MalformedError("UnsupportedMediaType", f"{media_type[:100]}: send application/cloudevents+json")
    value = json_shape.decode_value(message.payload)
    if media_type == "application/cloudevents+json" or (isinstance(value, dict) and "specversion" in value):
        values, members = json_shape.decode_object(message.payload)
        return cloudevent.from_members({**values, TOPIC: message.topic}, members)
    # Known again by `Redeliveries`, not by its id: two equal messages are two events.
    source = _SCHEME + quote(message.topic, safe="/")
    return plain.wrap(
        message.payload,
        {"source": source, TOPIC: message.topic},
        made_id(message, received),
        given_id=False,
    )
