"""Acknowledged means durable: whatever a client got an answer for is in the log, once, however the process ends."""

import json
import threading
import time
from itertools import count

import numpy as np
import pytest

from skerry_edge.events.reader import LogReader
from tests.integration.inference import models

ROW = np.array([[1, 2, 3, 4]], np.float32)


def logged(node, stream="predictions"):
    """Records of a stream with what a reader knows besides their bodies."""
    reader = LogReader(node.state / "log" / stream)
    records, seq = [], 1
    while batches := reader.read(seq, 1000):
        records += [record for batch in batches for record in batch.records()]
        seq = batches[-1].last + 1
    who = reader.identity
    return [
        json.loads(record.body) | {"id": f"{who.site}/{who.node}/{who.epoch}/{record.seq}", "time": record.time}
        for record in records
    ]


def stream_status(node, stream="predictions"):
    (found,) = (log for log in node.status()["logs"] if log["name"] == stream)
    return found


def acknowledge(node, prefix: str, stop: threading.Event, ledger: dict[str, str]) -> None:
    number = 0
    while not stop.is_set():
        number += 1
        request = f"{prefix}-{number}"
        status, answer = node.infer(ROW, request)
        if status == 200:
            ledger[request] = answer["parameters"]["prediction_id"]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_no_acknowledged_prediction_is_lost(node, end):
    node.assign(node.release("1.0.0", models.good()))
    node.start()
    node.wait_phase("Serving")
    ledger: dict[str, str] = {}
    for turn in range(2):
        stop = threading.Event()
        clients = [
            threading.Thread(target=acknowledge, args=(node, f"turn-{turn}-client-{client}", stop, ledger))
            for client in range(3)
        ]
        for client in clients:
            client.start()
        node.wait(lambda turn=turn: sum(name.startswith(f"turn-{turn}") for name in ledger) > 60)
        getattr(node, end)()
        stop.set()
        for client in clients:
            client.join()
        node.start()
        node.wait_phase("Serving")

    status = stream_status(node)
    node.wait(lambda: len(logged(node)) == status["nextSeq"] - 1)
    records = logged(node)
    found = {record["request"]: record["id"] for record in records}
    assert ledger.items() <= found.items()
    assert len({record["id"] for record in records}) == len(records) == len(found)
    assert {record["id"].split("/")[2] for record in records} == {status["epoch"]}
    assert (status["dropped"], status["failedSyncs"], status["damaged"]) == (0, 0, 0)


def test_records_tell_both_sides_of_a_canary(node):
    first = node.release("1.0.0", models.good())
    node.assign(first)
    node.start()
    node.wait_phase("Serving")
    second = node.release("1.1.0", models.good(0.001))
    node.assign(second, first)
    node.wait_phase("Canary")
    names = (f"mine-{number}" for number in count())

    def challenged():
        """An answer of the challenger; where it is late, as on a busy machine, the champion's goes out."""
        _, answer = node.infer(np.repeat(ROW, 5, axis=0), next(names))
        return answer if answer["parameters"]["variant"] == "challenger" else None

    answer = node.wait(challenged)
    assert answer["model_version"] == "1.1.0"

    record = node.wait(lambda: next((each for each in logged(node) if each["request"] == answer["id"]), None))
    assert abs(record["time"] / 1e6 - time.time()) < 60
    assert (record["variant"], record["digest"]) == ("challenger", second.digest)
    assert (record["namespace"], record["model"], record["version"], record["rows"]) == ("team", "har", "1.1.0", 5)
    assert record["pair"]["champion"] == first.digest
    assert record["pair"]["rows"] == 5
    assert record["pair"]["challenger_latency"] > 0


def test_a_release_that_is_put_aside_is_a_record(node):
    first = node.release("1.0.0", models.good())
    node.assign(first)
    node.start()
    node.wait_phase("Serving")
    bad = node.release("1.3.0", models.nan_for_negative_first())
    node.assign(bad, first)
    node.wait_phase("Canary")
    node.wait(lambda: node.infer(-ROW) and node.model().get("phase") == "RolledBack")
    node.wait(lambda: logged(node, "rollbacks"))  # readers see it once it is fsynced
    (record,) = logged(node, "rollbacks")
    assert (record["namespace"], record["model"], record["version"]) == ("team", "har", "1.3.0")
    assert (record["digest"], record["metric"]) == (bad.digest, "non_finite_outputs")
    assert abs(record["time"] / 1e6 - time.time()) < 120


def test_protocol_paths(node):
    node.assign(node.release("1.0.0", models.good()))
    node.start()
    node.wait_phase("Serving")
    answers = {
        path: node.get(path)
        for path in (
            "/v2",
            "/v2/health/live",
            "/v2/health/ready",
            "/v2/models/har",
            "/v2/models/har/ready",
            "/v2/models/har/versions/1.0.0/ready",
            "/v2/models/har/versions/9.9.9/ready",
            "/v2/models/nope/ready",
            "/v2/models/har/infer",
            "/v3",
        )
    }
    assert {path: status for path, (status, _) in answers.items()} == {
        "/v2": 200,
        "/v2/health/live": 200,
        "/v2/health/ready": 200,
        "/v2/models/har": 200,
        "/v2/models/har/ready": 200,
        "/v2/models/har/versions/1.0.0/ready": 200,
        "/v2/models/har/versions/9.9.9/ready": 404,
        "/v2/models/nope/ready": 404,
        "/v2/models/har/infer": 405,
        "/v3": 404,
    }
    metadata = json.loads(answers["/v2/models/har"][1])
    assert metadata["inputs"] == [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]
    assert "error" in json.loads(answers["/v3"][1])
    assert node.infer(ROW, path="/v2/models/har/versions/1.0.0/infer")[0] == 200
    status, answer = node.infer(ROW[:, :3])
    assert (status, "shape" in answer["error"]) == (400, True)
    metrics = node.get("/metrics", status=True)[1].decode()
    assert 'skerry_predictions_total{model="har",variant="champion",version="1.0.0"} 1.0' in metrics


def test_a_champion_that_is_not_finite_is_an_honest_error(node):
    node.assign(node.release("1.0.0", models.nan_for_negative_first()))
    node.start()
    node.wait_phase("Serving")
    assert node.infer(ROW)[0] == 200
    status, answer = node.infer(-ROW)
    assert status == 500
    assert "not finite" in answer["error"]
