"""What one append gets of the messages that wait, without a broker."""

import itertools

import pytest

from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.dead_letters import DeadLetters
from skerry_edge.ingest.intake import Intake
from skerry_edge.ingest.limits import MAX_STORED_BYTES
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.mqtt.broker import load_broker
from skerry_edge.ingest.mqtt.payload import Message, read_message
from skerry_edge.ingest.mqtt.redeliveries import RECEIVE_MAXIMUM
from skerry_edge.ingest.mqtt.subscriber import Subscriber
from skerry_edge.ingest.node_time import NodeTime
from tests.unit.ingest.worlds import NOW, ScriptedLog, registry, stream_over


@pytest.fixture
def subscriber(tmp_path):
    (tmp_path / "url").write_text("mqtt://nowhere", encoding="utf-8")
    metrics = IngestMetrics(registry())
    intake = Intake(DeadLetters(NodeTime(lambda: NOW), lambda: 0.0, lambda _: None), metrics, lambda: None)
    stream, _ = stream_over(ScriptedLog(), mqtt_topics=("a/b",))
    return Subscriber(stream, load_broker(tmp_path), "node", intake=intake, metrics=metrics, clock=lambda: NOW)


def large(number, text):
    """A message whose event is nearly as large as one may be, for its attributes."""
    given = {"specversion": "1.0", "id": str(number), "source": "/s", "type": "t", "dataschema": "https://s", "x": text}
    return Message("a/b", b"{}", 1, number, again=False, connection=1, properties=tuple(given.items()))


@pytest.mark.slow
@pytest.mark.parametrize("text", ["x" * 64_000, '"' * 32_500, "€" * 21_600, "😀" * 16_200])
def test_what_one_append_gets_it_can_take_however_large_attributes_are(subscriber, text):
    """Else it would be refused, and tried again, for ever."""
    for number in range(1, RECEIVE_MAXIMUM + 1):
        subscriber._came(large(number, text))
    with subscriber._changed:
        batches = list(itertools.takewhile(bool, iter(subscriber._next_batch, None)))
    assert sum(map(len, batches)) == RECEIVE_MAXIMUM
    for batch in batches:
        events = [read_message(message, NOW) for message in batch]
        assert all(isinstance(event, Event) and len(event.body) > 64_000 for event in events)
        assert sum(len(event.body) for event in events) <= MAX_STORED_BYTES
        assert subscriber._take(batch)
