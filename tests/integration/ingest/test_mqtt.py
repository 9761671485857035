"""Events from a real broker: nothing acknowledged before it is durable, nothing lost, nothing twice."""

import datetime as dt
import ipaddress
import json
import os
import signal
import ssl
import subprocess
import threading
from contextlib import suppress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.ingest.limits import MAX_WAITING_BYTES
from tests.integration.ingest.mosquitto import Mosquitto, Publisher, describe
from tests.integration.ingest.running import RunningIngest, start_process, wait
from tests.unit.ingest.worlds import event_logs, policy, raw_event, stored, stored_ids, stream_policy


def mapped(name="readings", *topics, **changes):
    return stream_policy(name, mqtt_topics=topics or ("plant/#",), **changes)


def connected(running, *streams):
    for stream in streams or ("readings",):
        wait(lambda stream=stream: running.value("skerry_mqtt_connected", stream=stream) == 1)
    return running


def subscribed(running, broker, *filters):
    connected(running)
    for each in filters:
        wait(lambda each=each: f"\t{each} (QoS 1" in broker.log)
    return running


def bodies(running, stream="readings"):
    return [json.loads(record.body) for record in stored(running.logs, stream)]


def test_messages_become_events_of_the_stream_that_their_topic_is_mapped_to(ingest, broker, folder, publisher):
    running = ingest(policy(mapped(), mapped("doors", "+/door")), broker=folder)
    connected(running, "readings", "doors")
    wait(lambda: broker.log.count("Sending SUBACK") == 2)
    publisher.publish("plant/1/temp", raw_event("a"), b'{"t": 20.50}', b"23.5")
    publisher.publish("plant/1/temp", raw_event("b"), content_type="application/cloudevents+json; charset=utf-8")
    publisher.publish(
        "plant/1/temp", b"<x/>", content_type="text/xml", specversion="1.0", id="c", source="/s", type="t"
    )
    publisher.publish("plant/door", raw_event("d", mqtttopic="else/where"))
    publisher.publish("elsewhere", raw_event("e"))
    wait(lambda: len(running.ids("readings")) == 6)
    wait(lambda: len(running.ids("doors")) == 1)
    found = bodies(running)
    assert [body["id"] for body in found if body["source"] == "/s"] == ["a", "b", "c", "d"]
    plain = [body for body in found if body["type"] == "dev.skerry.plain"]
    assert [body["data"] for body in plain] == [{"t": 20.5}, 23.5]
    assert {body["source"] for body in plain} == {"mqtt:plant/1/temp"}
    assert found[4]["data"] == "<x/>"
    assert found[0]["mqtttopic"] == "plant/1/temp"
    assert found[5]["mqtttopic"] == bodies(running, "doors")[0]["mqtttopic"] == "plant/door"


def test_labels_come_by_a_topic_of_their_own(ingest, broker, folder, publisher):
    by_topic = DEFAULT_POLICY.stream("labels").model_copy(update={"mqtt_topics": ("inspection/+/label",)})
    others = tuple(stream for stream in DEFAULT_POLICY.streams if stream.name != "labels")
    running = ingest(DEFAULT_POLICY.model_copy(update={"streams": (*others, by_topic)}), broker=folder)
    connected(running, "labels")
    wait(lambda: "\tinspection/+/label (QoS 1" in broker.log)
    said = {"prediction": "site-a/node-1/00aa/7", "value": 3}
    publisher.publish("inspection/7/label", json.dumps(said).encode(), b'{"value": 3}', raw_event("a", data=said))
    wait(lambda: len(running.ids("labels")) == 2)
    assert [body["data"] for body in bodies(running, "labels")] == [said, said]
    (letter,) = wait(lambda: bodies(running, "dead-letter"))
    assert (letter["data"]["reason"], letter["data"]["origin"]) == ("InvalidLabel", "mqtt:inspection/7/label")


def test_malformed_messages_are_dead_letters_and_hold_nobody_up(ingest, broker, folder, publisher):
    running = subscribed(ingest(policy(mapped()), broker=folder), broker, "plant/#")
    publisher.publish("plant/x", b"ON", raw_event(1, type=""), b"", raw_event(2))
    wait(lambda: running.ids("readings") == ["2"])
    letters = wait(lambda: len(stored(running.logs, "dead-letter")) == 3 and bodies(running, "dead-letter"))
    assert {letter["data"]["origin"] for letter in letters} == {"mqtt:plant/x"}


def test_what_comes_while_the_node_is_away_is_kept_by_the_broker(ingest, broker, folder, publisher):
    first = subscribed(ingest(policy(mapped()), broker=folder), broker, "plant/#")
    publisher.publish("plant/x", raw_event(1))
    wait(lambda: first.ids("readings") == ["1"])
    first.close()
    publisher.publish("plant/x", *(raw_event(n) for n in range(2, 200)))
    again = ingest(policy(mapped()), broker=folder)
    wait(lambda: again.ids("readings") == [str(n) for n in range(1, 200)])


def test_a_broker_that_restarts_loses_nothing(ingest, broker, folder):
    running = subscribed(ingest(policy(mapped()), broker=folder), broker, "plant/#")
    for turn in range(2):
        publisher = Publisher(broker)
        publisher.publish("plant/x", *(raw_event(f"{turn}-{n}") for n in range(100)))
        publisher.close()
        broker.stop()
        wait(lambda: running.value("skerry_mqtt_connected", stream="readings") == 0)
        broker.start()
    connected(running)
    wait(lambda: sorted(running.ids("readings")) == sorted(f"{turn}-{n}" for turn in range(2) for n in range(100)))
    assert running.value("skerry_mqtt_connections_total", stream="readings") >= 2
    assert running.value("skerry_mqtt_connection_failures_total", stream="readings") >= 1


def test_nothing_is_acknowledged_before_it_is_durable(ingest, broker, folder, publisher, monkeypatch):
    running = subscribed(ingest(policy(mapped()), broker=folder), broker, "plant/#")
    real, release, entered = os.fdatasync, threading.Event(), threading.Event()

    def slow(descriptor):
        entered.set()
        assert release.wait(20)
        real(descriptor)

    monkeypatch.setattr(os, "fdatasync", slow)
    publisher.publish("plant/x", raw_event(1))
    assert entered.wait(10)
    acknowledged = "Received PUBACK from skerry-site-a-node-1-readings"
    assert acknowledged not in broker.log
    release.set()
    wait(lambda: acknowledged in broker.log)
    assert running.ids("readings") == ["1"]


@pytest.mark.parametrize("count", [1, 20])
def test_killed_between_append_and_acknowledgement(tmp_path, broker, folder, publisher, count):
    """CloudEvents are known by their ids; plain messages, two equal ones too, by packet identifier and content."""
    first = start_process(tmp_path, policy(mapped()), folder, count)
    wait(lambda: "plant/# (QoS 1" in broker.log)
    payloads = [payload for n in range(20) for payload in (raw_event(n), b'{"equal":1}')]
    publisher.publish("plant/x", *payloads)
    assert first.wait(30) == -signal.SIGKILL
    with event_logs(tmp_path / "inference" / "log") as logs:
        assert stored_ids(logs, "readings")
    second = start_process(tmp_path, policy(mapped()), folder)
    acknowledged = "Received PUBACK from skerry-site-a-node-1-readings"
    wait(lambda: broker.log.count(acknowledged) >= len(payloads))
    publisher.publish("plant/x", raw_event("last"))
    wait(lambda: broker.log.count(acknowledged) >= len(payloads) + 1)
    second.send_signal(signal.SIGTERM)
    assert second.wait(30) == 0
    with event_logs(tmp_path / "inference" / "log") as logs:
        found = [json.loads(record.body) for record in stored(logs, "readings")]
    assert sorted(body["id"] for body in found if body["type"] == "t") == sorted([*(str(n) for n in range(20)), "last"])
    assert sum(body["type"] == "dev.skerry.plain" for body in found) == 20


def test_a_full_stream_waits_at_the_broker_and_holds_up_no_other(ingest, broker, folder, publisher):
    def streams(max_bytes):
        return policy(mapped(max_bytes=max_bytes), mapped("alarms", "alarm/#", tier=Tier.CRITICAL_TELEMETRY))

    running = ingest(streams(100_000), broker=folder)
    connected(running, "readings", "alarms")
    wait(lambda: broker.log.count("Sending SUBACK") == 2)
    publisher.publish("plant/x", *(raw_event(n, data="x" * 5000) for n in range(200)))
    wait(lambda: running.value("skerry_mqtt_paused", stream="readings") == 1)
    publisher.publish("alarm/1", *(raw_event(n) for n in range(50)))
    wait(lambda: running.ids("alarms") == [str(n) for n in range(50)])
    assert running.value("skerry_events_requests_refused_total", via="mqtt", reason="LogFull") >= 1
    assert len(running.ids("readings")) < 200
    running.policy = streams(1 << 30)
    wait(lambda: sorted(map(int, running.ids("readings"))) == list(range(200)))
    wait(lambda: running.value("skerry_mqtt_paused", stream="readings") == 0)


def test_a_full_disk_makes_messages_wait(small_disk, broker, folder, publisher):
    running = RunningIngest(small_disk / "inference", policy(mapped()), folder)
    try:
        connected(running)
        publisher.publish("plant/x", raw_event("first"))
        wait(lambda: running.ids("readings") == ["first"])
        filler = small_disk / "filler"
        with filler.open("wb") as file, suppress(OSError):
            while True:
                file.write(bytes(1 << 16))
                file.flush()
        publisher.publish("plant/x", *(raw_event(n, data="x" * 1000) for n in range(100)))
        wait(lambda: running.value("skerry_mqtt_paused", stream="readings") == 1)
        filler.unlink()
        wait(lambda: running.ids("readings") == ["first", *map(str, range(100))])
    finally:
        running.close()


def test_a_full_stream_over_lost_connections(ingest, broker, folder, publisher):
    """What comes again and again while it can't be stored neither piles up nor is stored twice."""
    running = subscribed(ingest(policy(mapped(max_bytes=70_000)), broker=folder), broker, "plant/#")
    publisher.publish("plant/x", *(raw_event(n, data="x" * 2000) if n % 2 else b'{"n":%d}' % n for n in range(100)))
    wait(lambda: running.value("skerry_mqtt_paused", stream="readings") == 1)
    publisher.close()
    for _ in range(2):
        broker.stop()
        broker.start()
        connected(running)
    running.policy = policy(mapped(max_bytes=1 << 30))
    wait(lambda: len(running.ids("readings")) >= 100)
    again = Publisher(broker)
    again.publish("plant/x", raw_event("last"))
    again.close()
    wait(lambda: "last" in running.ids("readings"))
    found = bodies(running)
    assert sorted(body["data"]["n"] for body in found if body["type"] == "dev.skerry.plain") == list(range(0, 100, 2))
    assert sorted(body["id"] for body in found if body["type"] == "t") == sorted(
        [*(str(n) for n in range(1, 100, 2)), "last"]
    )


def test_what_waits_is_bounded_in_bytes(ingest, broker, folder, publisher):
    """Large messages: fewer are read than the broker might send, and none is lost."""
    running = subscribed(ingest(policy(mapped(max_bytes=70_000)), broker=folder), broker, "plant/#")
    publisher.publish("plant/x", *(raw_event(n, data="x" * 60_000) for n in range(3)))
    wait(lambda: running.value("skerry_mqtt_paused", stream="readings") == 1)
    publisher.publish("plant/x", *(raw_event(n, pad="x" * 200_000) for n in range(3, 40)))
    publisher.publish("plant/x", *(b"x" * 200_000,) * 10, qos=0)
    waiting = wait(lambda: (size := running.value("skerry_mqtt_waiting_bytes", stream="readings")) > 3_800_000 and size)
    assert waiting <= MAX_WAITING_BYTES
    running.policy = policy(mapped(max_bytes=1 << 30))
    publisher.publish("plant/x", raw_event("last"))
    wait(lambda: "last" in running.ids("readings"))
    assert sorted(map(int, running.ids("readings")[:-1])) == [0, 1, 2]
    letters = wait(lambda: len(found := stored(running.logs, "dead-letter")) >= 37 and found)
    assert len(letters) >= 37
    assert running.value("skerry_mqtt_waiting_bytes", stream="readings") == 0


def test_rates_make_messages_wait(ingest, broker, folder, publisher):
    running = subscribed(ingest(policy(mapped(max_rate=20.0)), broker=folder), broker, "plant/#")
    publisher.publish("plant/x", *(raw_event(n) for n in range(250)))
    wait(lambda: running.ids("readings") == [str(n) for n in range(250)])
    assert running.value("skerry_events_requests_refused_total", via="mqtt", reason="RateLimited") >= 1


def test_policy_changes_need_no_restart(ingest, broker, folder, publisher):
    running = subscribed(ingest(policy(mapped()), broker=folder), broker, "plant/#")
    running.policy = policy(mapped("readings", "plant/1", "yard/+"))
    wait(lambda: "yard/+ (QoS 1" in broker.log)
    wait(lambda: "Received UNSUBSCRIBE" in broker.log)
    publisher.publish("plant/2", raw_event("unmapped"))
    publisher.publish("yard/gate", raw_event("gate"))
    publisher.publish("plant/1", raw_event("one"))
    wait(lambda: sorted(running.ids("readings")) == ["gate", "one"])
    running.policy = policy(stream_policy())
    wait(lambda: running.value("skerry_mqtt_connected", stream="readings") == 0)
    publisher.publish("plant/1", raw_event("nobody"))
    running.policy = policy(mapped())
    connected(running)
    publisher.publish("plant/1", raw_event("later"))
    wait(lambda: "later" in running.ids("readings"))
    assert sorted(running.ids("readings")) == ["gate", "later", "one"]


def test_of_a_sites_nodes_one_takes_each_message(tmp_path, broker, folder, publisher):
    (folder / "shared").write_text("true\n")
    nodes = [RunningIngest(tmp_path / node, policy(mapped()), folder, node) for node in ("node-1", "node-2")]
    try:
        for node in nodes:
            connected(node)
        wait(lambda: broker.log.count("Sending SUBACK") == 2)
        publisher.publish("plant/x", *(raw_event(n) for n in range(100)))
        wait(lambda: sum(len(node.ids("readings")) for node in nodes) >= 100)
        assert sorted(int(n) for node in nodes for n in node.ids("readings")) == list(range(100))
        assert all(node.ids("readings") for node in nodes)
    finally:
        for node in nodes:
            node.close()


def test_messages_without_a_promise_are_taken_as_well(ingest, broker, folder, publisher):
    running = subscribed(ingest(policy(mapped()), broker=folder), broker, "plant/#")
    publisher.publish("plant/x", *(raw_event(n) for n in range(5)), qos=0)
    wait(lambda: running.ids("readings") == [str(n) for n in range(5)])


def test_a_broker_that_is_not_there_yet(ingest, tmp_path, mosquitto):
    broker = Mosquitto(tmp_path / "broker")
    running = ingest(policy(mapped()), broker=describe(tmp_path / "mqtt", broker)).open("readings")
    wait(lambda: running.value("skerry_mqtt_connection_failures_total", stream="readings") >= 1)
    assert running.client.batch("readings", [1])[0] == 200
    try:
        connected_at = broker.start()
        connected(running)
        assert connected_at.port
    finally:
        broker.stop()


class Authority:
    """A CA, and certificates by it."""

    def __init__(self) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "the site's CA")])
        usage = x509.BasicConstraints(ca=True, path_length=None)
        self.certificate = self._sign(self.name, self.key, usage, critical=True)

    def _sign(self, name, key, *extensions, critical=False):
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(hours=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
        )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, name: str) -> tuple[bytes, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        names = x509.SubjectAlternativeName(
            [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
        )
        certificate = self._sign(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]), key, names)
        return (
            certificate.public_bytes(serialization.Encoding.PEM),
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            ),
        )


# paho leaves the socket of a failed handshake to the garbage collector.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket:pytest.PytestUnraisableExceptionWarning")
def test_tls_credentials_and_their_change_without_a_restart(ingest, tmp_path, mosquitto):
    authority = Authority()
    certificate, key = authority.issue("broker")
    files = tmp_path / "files"
    files.mkdir()
    for name, content in (("ca", authority.pem), ("crt", certificate), ("key", key)):
        (files / name).write_bytes(content)
    passwords = files / "passwords"
    passwords.write_text("")
    for login in (("node", "right"), ("producer", "p")):
        subprocess.run(["mosquitto_passwd", "-b", passwords, *login], check=True, capture_output=True)
    options = (
        f"cafile {files}/ca",
        f"certfile {files}/crt",
        f"keyfile {files}/key",
        "require_certificate true",
        f"password_file {passwords}",
    )
    broker = Mosquitto(tmp_path / "broker", options=options, anonymous=False).start()
    node_certificate, node_key = authority.issue("node-1")
    folder = describe(
        tmp_path / "mqtt",
        broker,
        "mqtts",
        ca_crt=authority.pem,
        tls_crt=node_certificate,
        tls_key=node_key,
        username=b"node\n",
        password=b"wrong\n",
    )
    try:
        running = ingest(policy(mapped()), broker=folder)
        wait(lambda: running.value("skerry_mqtt_connection_failures_total", stream="readings") >= 1)
        (folder / "password").write_bytes(b"right\n")
        connected(running)
        context = ssl.create_default_context(cadata=authority.pem.decode())
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        publisher = Publisher(broker, tls=context, login=("producer", "p"))
        publisher.publish("plant/x", raw_event(1))
        publisher.close()
        wait(lambda: running.ids("readings") == ["1"])
        (folder / "ca.crt").write_bytes(Authority().pem)
        wait(lambda: running.value("skerry_mqtt_connected", stream="readings") == 0)
        failures = running.value("skerry_mqtt_connection_failures_total", stream="readings")
        wait(lambda: running.value("skerry_mqtt_connection_failures_total", stream="readings") > failures)
        (folder / "url").unlink()
        running.open("readings")
    finally:
        broker.stop()
