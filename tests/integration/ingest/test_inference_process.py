"""Events through the whole inference process: its port, its broker, its metrics, its restarts."""

from collections.abc import Iterator

import pytest

from skerry_core.canonical import canonical_json
from skerry_edge.events.reader import LogReader
from tests.integration.inference.node import Node
from tests.integration.ingest.mosquitto import describe
from tests.integration.ingest.running import Client
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture
from tests.unit.ingest.worlds import policy, raw_event, stream_policy


@pytest.fixture
def node(tmp_path, sigstore) -> Iterator[Node]:  # noqa: F811
    node = Node(tmp_path, sigstore)
    yield node
    node.close()


def assign(node, *streams):
    document = policy(*streams)
    node.write_assignment(node.envelope(None, sync_policy=node.put_blob(canonical_json(document.to_wire()))))


def post(node, stream, event_id):
    client = Client(node.events_port)
    try:
        return client.post(stream, raw_event(event_id))[:2]
    except OSError:
        return 0, {}
    finally:
        client.close()


def stored(node, stream):
    reader = LogReader(node.state / "log" / stream)
    return [record.body for batch in reader.read(1, 1000) for record in batch.records()]


def test_streams_come_and_go_with_the_signed_assignment(node):
    node.start()
    node.wait(lambda: post(node, "readings", 1)[0] == 404)
    assign(node, stream_policy())
    node.wait(lambda: post(node, "readings", 1)[0] == 200)
    assert post(node, "readings", 1)[1]["duplicates"] == 1
    node.kill()
    node.start()
    node.wait(lambda: post(node, "readings", 1)[0] == 200)
    assert post(node, "readings", 1)[1]["duplicates"] == 1
    assert len(stored(node, "readings")) == 1
    metrics = node.get("/metrics", status=True)[1].decode()
    assert 'skerry_events_duplicates_total{stream="readings",via="http"}' in metrics
    assign(node, stream_policy("other"))
    node.wait(lambda: post(node, "readings", 2)[0] == 404)
    assert node.stop() == 0


def test_a_broker_that_is_told_later(node, broker, publisher):
    assign(node, stream_policy(mqtt_topics=("plant/#",)))
    node.start()
    node.wait(lambda: post(node, "readings", 1)[0] == 200)
    describe(node.mqtt_dir, broker)
    node.wait(lambda: "plant/# (QoS 1" in broker.log)
    publisher.publish("plant/x", raw_event(2))
    node.wait(lambda: len(stored(node, "readings")) == 2)
    assert node.stop() == 0


def test_a_port_that_is_taken_keeps_nothing_from_serving(node):
    node.events_port = node.status_port
    node.start()
    assert node.get("/v2/health/live")[0] == 200
    assert node.stop() == 0
