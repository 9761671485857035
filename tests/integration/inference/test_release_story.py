"""What happens to releases on one node, through the real process, real signatures and real models."""

import json
import threading
from typing import Self

import numpy as np
import onnxruntime as ort
import pytest

from skerry_core.assignment.document import RemovedModel
from skerry_core.evidence.wire import NodeEvidence
from skerry_core.trust.policy import Binding, SignerIdentity
from tests.integration.inference import models
from tests.integration.inference.node import ANALYSIS, AUTHOR, Node, assigned

RNG = np.random.default_rng(7)


def rows(count: int = 4) -> np.ndarray:
    return RNG.normal(size=(count, 4)).astype(np.float32)


class Client:
    """Sends requests all the time and keeps what came back."""

    def __init__(self, node: Node, make_rows=rows, model: str = "har") -> None:
        self._node = node
        self._rows = make_rows
        self._path = f"/v2/models/{model}/infer"
        self._stop = threading.Event()
        self.answers: list[tuple[int, dict]] = []
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            self.answers.append(self._node.infer(self._rows(), f"client-{number}", self._path))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def failures(self) -> list[tuple[int, dict]]:
        return [answer for answer in self.answers if answer[0] != 200]

    def variants(self) -> set[str]:
        return {answer["parameters"]["variant"] for _, answer in self.answers}


def serve_first(node: Node):
    first = node.release("1.0.0", models.good())
    node.assign(first)
    node.start()
    node.wait_phase("Serving", first)
    return first


# What is on disk follows what is told, in steps of its own.


def activation(node: Node) -> dict:
    return json.loads((node.state / "activation" / "team.har.json").read_bytes())


def put_aside(node: Node) -> list[dict]:
    path = node.state / "quarantine.json"
    return json.loads(path.read_bytes())["models"]["team/har"] if path.exists() else []


def wait_for_no_intent(node: Node) -> None:
    node.wait(lambda: not (node.state / "intent.json").exists())


def test_first_release_serves_without_a_canary_and_equals_bare_onnxruntime(node):
    node.start()
    node.wait(lambda: node.get("/v2/health/ready")[0] == 200)  # nothing is assigned, so nothing is missing
    assert node.get("/v2/models/har")[0] == 404

    first = node.release("1.0.0", models.good())
    node.assign(first)
    report = node.wait_phase("Serving", first)

    assert report["servingVersion"] == "1.0.0"
    batch = rows(50)
    status, answer = node.infer(batch, "mine")
    bare = ort.InferenceSession(models.good(), providers=["CPUExecutionProvider"]).run(None, {"x": batch})[0]
    assert (status, answer["id"], answer["model_version"]) == (200, "mine", "1.0.0")
    np.testing.assert_allclose(np.array(answer["outputs"][0]["data"]).reshape(50, 3), bare, atol=1e-5)
    assert answer["parameters"]["prediction_id"].startswith("site-a/node-1/")
    assert node.status()["resident"] == [first.digest]
    wait_for_no_intent(node)


def test_good_canary_is_promoted_and_both_stay_resident(node):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.001))
    with Client(node) as client:
        node.assign(second, first)
        node.wait_phase("Canary", first)
        report = node.wait_phase("Serving", second)

    assert not client.failures
    assert client.variants() >= {"champion", "challenger"}
    assert report["evidence"]["pairs"] >= ANALYSIS.min_samples
    assert node.status()["resident"] == sorted([first.digest, second.digest])
    kept = node.wait(lambda: (told := activation(node))["champion"]["digest"] == second.digest and told)
    assert kept["previous"]["digest"] == first.digest
    wait_for_no_intent(node)


def test_two_models_are_tried_side_by_side_and_each_gets_its_own_verdict(node):
    identity = SignerIdentity(subject=AUTHOR, issuer=node.issuer)
    node.put_policy(2, bindings=(Binding(namespace="team", models=("har", "gait"), identities=(identity,)),))
    har, gait = (node.release("1.0.0", models.good(), name=name) for name in ("har", "gait"))
    better = node.release("1.1.0", models.good(0.001))
    shifted = node.release("1.1.0", models.shifted(), name="gait")
    node.assign(har, others=(assigned("gait", gait),))
    node.start()
    node.wait_phase("Serving", har, "har")
    node.wait_phase("Serving", gait, "gait")
    node.assign(better, har, others=(assigned("gait", shifted, gait),))
    node.wait(lambda: len(node.status()["resident"]) == 4)
    with Client(node) as hars, Client(node, model="gait") as gaits:
        node.wait_phase("Serving", better, "har")
        told = node.wait_phase("RolledBack", gait, "gait")

    assert not hars.failures + gaits.failures
    assert told["failedMetric"]["name"] == "disagreement"
    assert node.model("har")["quarantined"] == []
    for client, name, serving in ((hars, "har", "1.1.0"), (gaits, "gait", "1.0.0")):
        assert {answer["model_name"] for _, answer in client.answers} == {name}
        assert "1.1.0" in {answer["model_version"] for _, answer in client.answers}
        assert node.infer(rows(), path=f"/v2/models/{name}/infer")[1]["model_version"] == serving


def test_shifted_canary_is_rolled_back_and_never_tried_again(node):
    first = serve_first(node)
    shifted = node.release("1.2.0", models.shifted())
    with Client(node) as client:
        node.assign(shifted, first)
        report = node.wait_phase("RolledBack", first)
        evidence = NodeEvidence.model_validate_json(node.get("/evidence", status=True)[1])
        asked = len(client.answers)
        node.assign(shifted, first)
        node.wait(lambda: len(client.answers) > asked + 20)
        quarantined = node.wait(lambda: put_aside(node))

    assert not client.failures
    assert report["failedMetric"]["name"] == "disagreement"
    assert report["quarantined"] == [shifted.digest]
    assert sum(window.rows for window in evidence.models[0].windows) >= ANALYSIS.min_samples
    assert [entry["digest"] for entry in quarantined] == [shifted.digest]
    assert {answer["model_version"] for _, answer in client.answers[asked + 5 :]} == {"1.0.0"}

    node.stop()
    node.start()
    assert node.wait_phase("RolledBack", first)["quarantined"] == [shifted.digest]
    assert shifted.digest not in node.status()["resident"]


def test_nan_rows_are_answered_by_the_champion(node):
    first = serve_first(node)
    bad = node.release("1.3.0", models.nan_for_negative_first())
    with Client(node) as client:
        node.assign(bad, first)
        report = node.wait_phase("RolledBack", first)

    assert not client.failures
    assert "fallback" in client.variants()
    values = [value for _, answer in client.answers for value in answer["outputs"][0]["data"]]
    assert np.isfinite(np.array(values, float)).all()
    assert report["failedMetric"]["name"] == "non_finite_outputs"


def test_slow_challenger_costs_no_answer(node):
    limits = ANALYSIS.guardrails.model_copy(update={"latency_limit": ANALYSIS.latency_floor})
    first = serve_first(node)
    slow = node.release("1.2.0", models.slow())
    with Client(node) as client:
        node.assign(slow, first, analysis=ANALYSIS.model_copy(update={"guardrails": limits}))
        report = node.wait_phase("RolledBack", first)

    assert not client.failures
    assert report["failedMetric"]["name"] == "latency_limit"


def test_challenger_that_dies_with_the_process_is_not_tried_again(node):
    first = serve_first(node)
    killer = node.release("1.2.0", models.good(0.002))
    node.assign(killer, first)
    node.wait_phase("Canary", first)
    node.kill()

    node.start()
    report = node.wait_phase("RolledBack", first)
    assert report["reason"] == "ProcessCrash"
    assert node.infer(rows())[1]["parameters"]["variant"] == "champion"
    assert node.status()["resident"] == [first.digest]
    # Gone before a champion is loaded, so this holds at once.
    assert not (node.state / "intent.json").exists()


def test_challenger_survives_a_clean_restart(node):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.001))
    node.assign(second, first)
    node.wait_phase("Canary", first)
    assert node.stop() == 0

    node.start()
    node.wait_phase("Canary", first)
    assert node.model().get("quarantined", []) == []


def test_quarantined_champion_is_swapped_for_the_approved_release_at_once(node):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.001))
    with Client(node) as client:
        node.assign(second, first)
        node.wait_phase("Serving", second)
        node.restrict(second.digest)
        report = node.wait_phase("RolledBack", first)

    assert not client.failures
    assert report["reason"] == "Quarantined"
    assert node.status()["resident"] == [first.digest]


def test_restart_serves_without_anything_new(node):
    first = serve_first(node)
    node.kill()
    (node.store / "assignment.json").unlink()

    node.start()
    node.wait_phase("Serving", first)
    assert node.infer(rows())[0] == 200


def test_removal_is_explicit(node):
    first = serve_first(node)
    node.assign(None)
    node.wait(lambda: node.status()["observedSerial"]["n"] == 2)
    assert node.model()["servingDigest"] == first.digest
    assert node.infer(rows())[0] == 200

    node.assign(None, removals=(RemovedModel(namespace="elsewhere", name="har"),))
    node.wait(lambda: node.status()["observedSerial"]["n"] == 3)
    assert node.infer(rows())[0] == 200

    node.assign(None, removals=(RemovedModel(namespace="team", name="har"),))
    node.wait(lambda: node.status()["models"] == [])
    assert node.infer(rows())[0] == 404
    assert not list((node.state / "activation").iterdir())


def test_missing_blob_is_downloading_with_what_sync_says(node):
    first = node.release("1.0.0", models.good())
    path = node.model_blob(first)
    data = path.read_bytes()
    path.unlink()
    message = {"digest": f"sha256:{path.name}", "reason": "DiskTooSmall", "message": "free 10 MiB"}
    (node.store / "downloads.json").write_text(json.dumps([{**message, "received": 0, "size": len(data)}]))
    node.assign(first)
    node.start()
    assert node.wait_phase("Downloading")["message"] == "DiskTooSmall: free 10 MiB"
    assert node.infer(rows())[0] == 503

    node.put_blob(data)
    node.wait_phase("Serving", first)


@pytest.mark.parametrize("part", ["model", "manifest", "signature"])
def test_tampered_blob_is_not_loaded_and_heals(node, part):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.001))
    path = {
        "model": node.model_blob(second),
        "manifest": node.blob_path(second.digest),
        "signature": node.blob_path(second.signature),
    }[part]
    data = path.read_bytes()
    path.write_bytes(data[:-2] + b"zz")
    node.assign(second, first)
    assert node.wait_phase("Stalled", first)["reason"] == "DigestMismatch"
    assert node.infer(rows())[1]["model_version"] == "1.0.0"

    node.put_blob(data)
    node.wait_phase("Canary", first)


def test_corrupt_champion_gives_way_to_the_release_before_it(node):
    first = serve_first(node)
    second = node.release("1.1.0", models.good(0.001))
    with Client(node):
        node.assign(second, first)
        node.wait_phase("Serving", second)
    node.stop()
    node.model_blob(second).write_bytes(b"worn out")

    node.start()
    node.wait_phase("Stalled", first)
    assert node.infer(rows())[1]["model_version"] == "1.0.0"
