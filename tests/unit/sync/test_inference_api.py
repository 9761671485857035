import json

import pytest

from skerry_api.v1alpha1.siteassignment import ModelPhase, Serial
from skerry_core.errors import RetryError
from skerry_edge.sync.inference_api import InferenceApi
from tests.unit.store.canned import Answer, canned_server

DIGEST = "sha256:" + "a" * 64
STATUS = {
    "site": "site-a",
    "node": "node-1",
    "observedSerial": {"incarnation": 1, "n": 4},
    "refusal": {"reason": "SerialOlder", "message": "older"},
    "models": [{"namespace": "demo", "model": "har", "phase": "Canary", "requests": 12}],
    "resident": [DIGEST],
    "logs": [{"name": "predictions", "epoch": "ab12", "nextSeq": 42}],
}


def ask(*answers: Answer):
    with canned_server(*answers) as server:
        return InferenceApi(f"{server.url}/status").status()


def test_reads_what_inference_says():
    status = ask(Answer(body=json.dumps(STATUS).encode()))
    assert [(model.model, model.phase) for model in status.models] == [("har", ModelPhase.CANARY)]
    assert status.resident == (DIGEST,)
    assert status.observed_serial == Serial(incarnation=1, n=4)
    assert status.refusal.reason == "SerialOlder"


def test_nulls_are_absent():
    status = ask(Answer(body=json.dumps(STATUS | {"observedSerial": None, "refusal": None}).encode()))
    assert (status.observed_serial, status.refusal) == (None, None)


REFUSED = {"reason": "DigestMismatch", "message": "the policy's bytes"}
STALLED = {"namespace": "demo", "model": "har", "phase": "Stalled", "reason": "DigestMismatch"}


@pytest.mark.parametrize(
    ("news", "expected"),
    [({}, False), ({"refusal": REFUSED}, True), ({"models": [STATUS["models"][0], STALLED]}, True)],
)
def test_knows_when_inference_has_found_damage(news, expected):
    assert ask(Answer(body=json.dumps(STATUS | news).encode())).finds_damage is expected


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b""),
        Answer(body=b"{}"),
        Answer(503, b"starting"),
        Answer(body=b"{", announced=10),
        Answer(body=json.dumps(STATUS | {"models": [{"phase": "Dancing"}]}).encode()),
    ],
)
def test_anything_else_is_no_status(answer):
    with pytest.raises(RetryError) as caught:
        ask(answer)
    assert caught.value.reason == "InferenceUnreachable"


def test_no_answer_is_no_status():
    with canned_server(Answer()) as server:
        pass
    with pytest.raises(RetryError) as caught:
        InferenceApi(f"{server.url}/status").status()
    assert caught.value.reason == "InferenceUnreachable"
