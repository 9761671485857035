"""Features through the inference process: events in, a model that is filled from them, restarts, a new version."""

import json
import time
from collections.abc import Iterator

import pytest

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureInput, FeatureSetRef
from tests.integration.inference import models
from tests.integration.inference.node import Node
from tests.integration.inference.test_prediction_log import logged
from tests.integration.ingest.running import Client
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture
from tests.unit.features.sets import document, feature
from tests.unit.ingest.worlds import policy, stream_policy

NAMES = ("count", "sum", "last", "mean")
SCORES = [2 + 0.3 * 3.25, 6.5 + 0.2 * 3.25, 4 + 0.1 * 3.25]  # by the model's weights
FEATURES = [
    feature("count", "Count", None, ttl="1h"),
    feature("sum", "Sum", onStale="Reject", default=None),
    feature("last", "Last"),
    feature("mean", "Mean"),
]


def versioned(version):
    data = canonical_json(document(FEATURES, version=version))
    ref = FeatureSetRef(namespace="plant", name="presses", version=version, digest=digests.of_bytes(data))
    return data, ref


@pytest.fixture
def node(tmp_path, sigstore) -> Iterator[Node]:  # noqa: F811
    node = Node(tmp_path, sigstore)
    yield node
    node.close()


def bound(ref):
    return (FeatureInput(input="x", feature_set=ref, features=NAMES),)


def post(node, number, rms, subject="press-7"):
    event = {"specversion": "1.0", "id": f"e{number}", "source": "plc", "type": "rms", "subject": subject}
    client = Client(node.events_port)
    try:
        return client.post("vibration", json.dumps(event | {"data": {"rms": rms}}).encode())[0]
    except OSError:
        return 0
    finally:
        client.close()


def infer(node, entity):
    body = {"inputs": [], "parameters": {"entity": entity} if entity else {}}
    status, answer = node._request("POST", "/v2/models/har/infer", json.dumps(body).encode())
    return status, json.loads(answer)


def test_features_from_events_to_answers(node):
    one, ref = versioned("1.0.0")
    node.put_blob(one)
    release = node.release("1.0.0", models.good(), features=bound(ref))
    told = {"sync_policy": node.put_blob(canonical_json(policy(stream_policy("vibration")).to_wire()))}
    node.assign(release, feature_sets=(ref.digest,), **told)
    node.start()
    node.wait_phase("Serving")
    assert infer(node, "")[0] == 400
    status, answer = infer(node, "press-7")
    assert (status, "feature sum of plant/presses is NOT_FOUND" in answer["error"]) == (409, True)
    node.wait(lambda: post(node, 1, 2.5) == 200)
    assert post(node, 2, 4.0) == 200
    assert post(node, 3, "wrong") == 200
    node.wait(lambda: infer(node, "press-7")[0] == 200)
    node.wait(lambda: infer(node, "press-7")[1]["outputs"][0]["data"] == pytest.approx(SCORES))
    answered = infer(node, "press-7")[1]["parameters"]["prediction_id"]
    # Its record is durable within 50 ms.
    _, explained = node.wait(
        lambda: (found := node.get(f"/v1/predictions/{answered}", status=True))[0] == 200 and found
    )
    (filled,) = json.loads(explained)["inputs"]
    assert [each["id"].rpartition("/")[2] for each in filled["events"]] == ["2", "1"]
    assert [(each["counted"], each["found"]) for each in filled["features"]] == [(2, 2)] * 4
    assert [each["value"] for each in filled["features"]] == [2.0, 6.5, 4.0, 3.25]
    shown = json.loads(node.get("/v1/features/plant/presses/press-7", status=True)[1])
    assert [each["status"] for each in shown["versions"][0]["features"]] == ["PRESENT"] * 4
    metrics = node.get("/metrics", status=True)[1].decode()
    assert "skerry_feature_refused_total{reason=" in metrics
    assert 'skerry_feature_entities{set="plant/presses",version="1.0.0"} 1.0' in metrics

    time.sleep(1.2)  # a commit
    node.kill()
    node.start()
    node.wait_phase("Serving", release)
    status, answer = node.wait(lambda: (found := infer(node, "press-7"))[0] == 200 and found)
    assert answer["outputs"][0]["data"] == pytest.approx(SCORES)

    two, newer = versioned("2.0.0")
    challenger = node.release("2.0.0", models.good(0.001), features=bound(newer))
    node.assign(challenger, release, feature_sets=(ref.digest, newer.digest), **told)
    model = node.wait(lambda: (found := node.model()).get("reason") == "FeaturesNotReady" and found)
    assert model["phase"] == "Waiting"
    assert infer(node, "press-7")[0] == 200
    node.put_blob(two)
    node.wait_phase("Canary")
    status, answer = infer(node, "press-7")
    assert (status, answer["parameters"]["variant"]) == (200, "challenger")
    assert node.stop() == 0
    record = logged(node)[-1]
    assert record["entity"] == {"press": "press-7"}
    (lineage,) = record["features"]
    assert (lineage["set"], lineage["version"], lineage["seq"]) == ("plant/presses", "2.0.0", 3)
    assert len(lineage["ages"]) == 4
