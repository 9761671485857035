"""The events port over loopback, on real logs."""

import http.client
import json
import os
import signal
import threading
from contextlib import suppress

import pytest

from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_edge.events.settings import LogFailedError
from skerry_edge.ingest.consent import Relayed, entity_key, site_hash
from skerry_edge.ingest.inbox import write_inbox
from tests.integration.ingest.running import BATCH, STRUCTURED, Client, RunningIngest, start_process, wait
from tests.unit.ingest.worlds import event_logs, policy, raw_event, stored, stored_ids, stream_policy


def test_what_is_acknowledged_is_in_the_log(ingest):
    running = ingest(policy(stream_policy())).open("readings")
    status, answer, headers = running.client.post("readings", raw_event(1))
    assert (status, headers["content-type"]) == (200, "application/json")
    epoch = running.logs.status()["readings"].epoch
    assert answer == {"accepted": 1, "duplicates": 0, "rejected": [], "logEpoch": epoch, "first": 1, "last": 1}
    assert running.client.batch("readings", range(1, 11))[1] | {"rejected": None} == {
        "accepted": 9,
        "duplicates": 1,
        "rejected": None,
        "logEpoch": epoch,
        "first": 2,
        "last": 10,
    }
    assert running.ids("readings") == [str(n) for n in range(1, 11)]


def test_all_modes(ingest):
    running = ingest(policy(stream_policy())).open("readings")
    client = running.client
    headers = {
        "ce-specversion": "1.0",
        "ce-id": "b",
        "ce-source": "/s",
        "ce-type": "t",
        "ce-subject": "Euro%20%E2%82%AC",
    }
    assert client.post("readings", raw_event("a"))[0] == 200
    assert client.post("readings", b'{"x":1}', "application/json", **headers)[0] == 200
    assert (
        client.post("readings", raw_event("c") + b"\n" + b'{"plain":true}\n', "application/x-ndjson")[1]["accepted"]
        == 2
    )
    bodies = [json.loads(record.body) for record in stored(running.logs, "readings")]
    assert [body["id"] for body in bodies[:3]] == ["a", "b", "c"]
    assert bodies[1]["subject"] == "Euro €"
    assert bodies[3]["data"] == {"plain": True}


def test_where_producers_are_known_a_token_opens_its_streams(ingest):
    running = ingest(policy(stream_policy())).open("readings", "consent")
    folder = running.root / "producers"
    folder.mkdir()
    token = "0123456789abcdefghij"
    producers = {"producers": [{"name": "press", "token": token, "streams": ["readings"]}]}
    (folder / "producers.json").write_text(json.dumps(producers))
    _, answer, headers = wait(lambda: (got := running.client.post("readings", raw_event(1)))[0] == 401 and got)
    assert (answer["error"], headers["www-authenticate"]) == ("Unauthenticated", "Bearer")
    assert "streams" not in answer["message"]
    known = {"authorization": f"Bearer {token}"}
    assert running.client.post("readings", raw_event(2), **known)[0] == 200
    assert running.client.post("consent", raw_event(3), **known)[:2] == (
        403,
        {"error": "NotAllowed", "message": "press may not send to stream 'consent'"},
    )
    assert running.client.post("nothing", raw_event(4))[0] == 401
    assert running.value("skerry_events_requests_refused_total", via="http", reason="Unauthenticated") >= 2


def test_streams_that_are_not_there(ingest):
    running = ingest(policy(stream_policy())).open("readings")
    status, answer, _ = running.client.post("other", raw_event(1))
    assert (status, answer["error"]) == (404, "UnknownStream")
    assert "consent, labels, readings" in answer["message"]
    assert running.client.post("predictions", raw_event(1))[0] == 404
    running.policy = policy(stream_policy(), stream_policy("other"))
    running.open("other")
    assert running.client.post("other", raw_event(1))[1]["first"] == 1
    running.policy = policy(stream_policy("other"))
    wait(lambda: running.client.post("readings", raw_event(1))[0] == 404)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "error"),
    [
        (b"{", STRUCTURED, 400, "InvalidJson"),
        (b"{}", STRUCTURED, 400, "AttributeMissing"),
        (b"{}", BATCH, 400, "InvalidJson"),
        (raw_event(1, data="x" * 70_000), STRUCTURED, 413, "TooLarge"),
        (b"x" * (1 << 20) + b"x", STRUCTURED, 413, "RequestTooLarge"),
        (b"{}", "application/json", 415, "UnsupportedMediaType"),
        (b"{}", None, 415, "UnsupportedMediaType"),
    ],
)
def test_refusals_are_json_and_say_why(ingest, body, content_type, status, error):
    running = ingest(policy(stream_policy())).open("readings")
    found, answer, _ = running.client.post("readings", body, content_type)
    assert (found, answer["error"]) == (status, error)
    assert answer["message"]


def test_paths_and_methods(ingest):
    running = ingest(policy(stream_policy())).open("readings")
    connection = running.client._connection
    for method, path, status in (
        ("GET", "/v1/streams/readings/events", 405),
        ("POST", "/", 404),
        ("POST", "/v1/streams", 404),
    ):
        connection.request(method, path)
        answer = connection.getresponse()
        assert (answer.status, "error" in json.loads(answer.read())) == (status, True)


def test_of_a_batch_what_is_good_is_stored_and_what_is_bad_is_a_dead_letter(ingest):
    running = ingest(policy(stream_policy())).open("readings")
    body = b"[" + raw_event(1) + b"," + b'{"id":"secret"}' + b"," + raw_event(2) + b"]"
    status, answer, _ = running.client.post("readings", body, BATCH)
    assert (status, answer["accepted"]) == (200, 2)
    assert [(each["index"], each["reason"]) for each in answer["rejected"]] == [(1, "AttributeMissing")]
    letter = json.loads(wait(lambda: stored(running.logs, "dead-letter"))[0].body)["data"]
    assert letter["stream"] == "readings"
    assert (letter["text"], letter["origin"]) == ('{"id":"secret"}', "http:127.0.0.1")


def test_rates_answer_429_and_say_when(ingest):
    running = ingest(policy(stream_policy(max_rate=1.0))).open("readings")
    assert running.client.batch("readings", range(8))[0] == 200
    status, answer, headers = running.client.batch("readings", range(8, 16))
    assert (status, answer["error"]) == (429, "RateLimited")
    assert int(headers["retry-after"]) >= 1
    assert running.value("skerry_events_requests_refused_total", via="http", reason="RateLimited") == 1


def test_a_full_stream_answers_507_and_takes_events_again_when_there_is_room(ingest):
    running = ingest(policy(stream_policy(max_bytes=100_000))).open("readings")
    accepted = 0
    while (answer := running.client.batch("readings", [accepted], data="x" * 10_000))[0] == 200:
        accepted += 1
    assert (answer[0], answer[1]["error"]) == (507, "LogFull")
    assert "retry-after" in answer[2]
    assert running.ids("readings") == [str(n) for n in range(accepted)]
    running.policy = policy(stream_policy(max_bytes=1 << 30))
    wait(lambda: running.client.batch("readings", [accepted], data="x" * 10_000)[0] == 200)
    assert running.ids("readings") == [str(n) for n in range(accepted + 1)]


def test_a_log_that_fails_answers_503_and_the_retry_is_stored_once(ingest, monkeypatch):
    running = ingest(policy(stream_policy())).open("readings")
    real = os.fdatasync

    def broken(descriptor):
        raise OSError(5, "EIO")

    monkeypatch.setattr(os, "fdatasync", broken)
    status, answer, headers = running.client.batch("readings", [1, 2])
    assert (status, answer["error"]) == (503, LogFailedError("").reason)
    assert headers["retry-after"]
    monkeypatch.setattr(os, "fdatasync", real)
    wait(lambda: running.client.batch("readings", [1, 2])[0] == 200)
    assert running.ids("readings") == ["1", "2"]


def test_a_restart_knows_what_was_acknowledged(ingest):
    first = ingest(policy(stream_policy())).open("readings")
    first.client.batch("readings", range(100))
    first.close()
    again = ingest(policy(stream_policy())).open("readings")
    answer = again.client.batch("readings", range(50, 150))[1]
    assert (answer["accepted"], answer["duplicates"]) == (50, 50)
    assert again.ids("readings") == [str(n) for n in range(150)]


def test_many_producers_that_retry_at_once(ingest):
    """Every id is sent by three clients in other orders; each is stored once, and all are told so."""
    running = ingest(policy(stream_policy())).open("readings")
    told = []

    def produce(seed):
        client = Client(running.port)
        for turn in range(40):
            ids = [f"{turn}-{(n * seed) % 7}" for n in range(7)]
            status, answer, _ = client.batch("readings", ids)
            told.append((status, answer["accepted"] + answer["duplicates"]))
        client.close()

    threads = [threading.Thread(target=produce, args=(seed,)) for seed in (1, 2, 3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert told == [(200, 7)] * 120
    assert sorted(running.ids("readings")) == sorted(f"{turn}-{n}" for turn in range(40) for n in range(7))


def test_a_consent_event_is_durable_and_then_acted_on(ingest):
    running = ingest(policy(stream_policy(data_class="health"), classes=("health",))).open("readings", "consent")
    running.client.batch("readings", [1], subject="p7")
    running.client.batch("readings", [2], subject="p8")
    said = raw_event(1, type="dev.skerry.consent.withdrawn", subject="p7", data={"dataClasses": ["health"]})
    assert running.client.post("consent", said)[1]["accepted"] == 1
    wait(lambda: running.ids("readings") == [None, "2"])
    assert running.client.post("consent", raw_event(2))[1]["error"] == "InvalidConsent"


def test_what_another_node_told_of_consent_is_acted_on_as_well(ingest):
    running = ingest(policy(stream_policy(data_class="health"), classes=("health",))).open("readings", "consent")
    running.client.post("readings", b"[" + raw_event(1, subject="p7") + b"," + raw_event(2, subject="p8") + b"]", BATCH)
    secret = b"s" * 32
    told = Relayed("node-2", "00112233445566ff", 1, site_hash(secret, entity_key("p7")), frozenset({"health"}))
    write_inbox(running.root / "withdrawals.json", secret, [told])
    wait(lambda: running.ids("readings") == [None, "2"])
    assert running.ids("consent") == ["00112233445566ff/1"]


def test_a_client_that_goes_away_loses_nothing(ingest):
    running = ingest(policy(stream_policy())).open("readings")
    gone = Client(running.port)
    gone._connection.request("POST", "/v1/streams/readings/events", raw_event(1), {"content-type": STRUCTURED})
    gone.close()
    wait(lambda: running.client.batch("readings", [1])[1]["duplicates"] == 1)
    assert running.ids("readings") == ["1"]


def test_too_many_requests_are_shed_and_all_that_were_taken_are_stored(ingest, monkeypatch):
    running = ingest(policy(stream_policy())).open("readings")
    real, release = os.fdatasync, threading.Event()
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: (release.wait(20), real(descriptor)))
    clients = [Client(running.port) for _ in range(160)]
    for n, client in enumerate(clients):
        client._connection.request("POST", "/v1/streams/readings/events", raw_event(n), {"content-type": STRUCTURED})
    wait(lambda: running.value("skerry_events_requests_refused_total", via="http", reason="Busy") >= 1)
    release.set()
    accepted = []
    for n, client in enumerate(clients):
        answer = client._connection.getresponse()
        body = json.loads(answer.read())
        if answer.status == 200:
            accepted.append(str(n))
        else:
            assert (answer.status, body["error"]) == (503, "Busy")
        client.close()
    assert sorted(running.ids("readings")) == sorted(accepted)
    assert len(accepted) >= 128


def test_a_full_disk_refuses_the_lower_tiers_first(small_disk):
    running = RunningIngest(
        small_disk / "inference",
        policy(stream_policy("bulk", tier=Tier.BULK), stream_policy("alarms", tier=Tier.CRITICAL_TELEMETRY)),
    )
    try:
        running.open("bulk", "alarms")
        accepted = 0
        while running.client.batch("bulk", [accepted], data="x" * 60_000)[0] == 200:
            accepted += 1
        assert running.client.batch("bulk", [accepted], data="x" * 60_000)[0] == 507
        assert running.client.batch("alarms", range(100))[1]["accepted"] == 100
        assert running.ids("bulk") == [str(n) for n in range(accepted)]
    finally:
        running.close()


def test_killed_again_and_again_nothing_acknowledged_is_lost_and_nothing_is_there_twice(tmp_path):
    """Producers send each batch until it is acknowledged, whatever happens to the process in between."""
    port_file = tmp_path / "inference" / "port"
    running, enough, sent = True, threading.Event(), []

    def produce(producer):
        turn = 0
        while running:
            ids = [f"{producer}-{turn}-{n}" for n in range(5)]
            sent.extend(ids)
            while not attempt(ids):
                pass
            turn += 1
            if turn > 30:
                enough.set()

    def attempt(ids):
        with suppress(OSError, ValueError, http.client.HTTPException):
            client = Client(int(port_file.read_text()))
            try:
                return client.batch("readings", ids)[0] == 200
            finally:
                client.close()
        return False

    document = policy(stream_policy())
    process = start_process(tmp_path, document, tmp_path)
    producers = [threading.Thread(target=produce, args=(n,)) for n in range(3)]
    for thread in producers:
        thread.start()
    for _ in range(4):
        assert enough.wait(60)
        enough.clear()
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process = start_process(tmp_path, document, tmp_path)
    running = False
    for thread in producers:
        thread.join(60)
        assert not thread.is_alive()
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0
    with event_logs(tmp_path / "inference" / "log") as logs:
        assert sorted(stored_ids(logs, "readings")) == sorted(sent)
