"""A FeatureSet's whole way: applied at the hub, named by a release, told to a site, computed and served on a node."""

import json
import shutil

import pytest

from skerry_api.v1alpha1.featureset import FeatureSetSpec
from skerry_core.bundle.feature_inputs import FeatureBinding
from skerry_operator.hub.feature_set.check import publishable
from tests.integration.hub.operator_process import NAMESPACE
from tests.integration.inference.node import Node
from tests.integration.ingest.running import Client
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture

pytestmark = pytest.mark.lab

SPEC = {
    "version": "1.0.0",
    "entities": [{"name": "press", "path": "subject"}],
    "source": {
        "stream": "vibration",
        "schema": [
            {"name": "rms", "type": "Float64", "unit": "mm/s", "sourceUnit": "m/s", "minimum": 0, "maximum": 10_000}
        ],
    },
    "features": [
        {"name": "count", "aggregation": "Count", "window": {"size": "1h"}, "ttl": "1h", "default": 0},
        {"name": "sum", "aggregation": "Sum", "value": "rms", "window": {"size": "1h"}, "onStale": "Reject"},
        {"name": "last", "aggregation": "Last", "value": "rms", "window": {"size": "1h"}, "default": 0},
        {"name": "mean", "aggregation": "Mean", "value": "rms", "window": {"size": "1h"}, "default": 0},
    ],
}
# Of events of 0.5 m/s and 1.5 m/s.
VALUES = [2, 2000, 1500, 1000]


@pytest.fixture(scope="module")
def hub(operator):
    """A ring with a site in it, a stream, and a model."""
    operator.trust()
    operator.skerry("SiteClass", "lab", {"image": "skerry-edge:0.1.0"})
    rollout = {"rolloutStrategy": {"minSuccessTime": "1s"}, "evidenceMaxAge": "8s"}
    operator.skerry("RolloutRing", "all", {"order": 0, **rollout})
    operator.skerry("SyncPolicy", "floor", {"streams": [{"name": "vibration", "tier": "Bulk"}]}, NAMESPACE)
    operator.skerry("Model", "har", {}, NAMESPACE)
    operator.a = operator.site("site-a")
    return operator


@pytest.fixture(scope="module")
def document():
    return publishable(NAMESPACE, "presses", FeatureSetSpec.model_validate(SPEC)).document


@pytest.fixture
def node(hub, sigstore, tmp_path):  # noqa: F811 - the fixture
    """A node that trusts this hub, and is given what sync would bring."""
    node = Node(tmp_path, sigstore)
    (tmp_path / "trust" / "hub.pub").write_bytes(hub.hub_key.public_pem)
    (tmp_path / "trust" / "policy.pub").write_bytes(hub.policy_key.public_pem)
    yield node
    node.close()


def deliver(hub, node):
    shutil.copytree(hub.folder / "store" / "blobs", node.store / "blobs", dirs_exist_ok=True)
    node.write_assignment(hub.a.assignment()["spec"]["envelope"])


def reason(hub, kind, name):
    conditions = hub.get(kind, name).get("status", {}).get("conditions", [])
    return next((each["reason"] for each in conditions if each["type"] == "Ready"), "")


def infer(node, entity):
    body = json.dumps({"inputs": [], "parameters": {"entity": entity}}).encode()
    status, answer = node._request("POST", "/v2/models/har/infer", body)
    return status, json.loads(answer)


def values(node, entity):
    _, shown = node.get(f"/v1/features/{NAMESPACE}/presses/{entity}", status=True)
    return [each["value"] for each in json.loads(shown)["versions"][0]["features"]]


def post(node, number, rms):
    event = {"specversion": "1.0", "id": f"e{number}", "source": "plc", "type": "rms", "subject": "press-7"}
    client = Client(node.events_port)
    try:
        return client.post("vibration", json.dumps(event | {"data": {"rms": rms}}).encode())[0]
    except OSError:
        return 0
    finally:
        client.close()


def test_from_kubectl_apply_to_an_answer_about_an_entity(hub, node, document):
    bundle = hub.bundle("har", "1.0.0", features=(FeatureBinding("x", document),))
    sets = {"featureSets": [{"name": "presses", "version": "1.0.0"}]}
    name = hub.release("har", "1.0.0", bundle, **sets)
    hub.until("the release waits", lambda: reason(hub, "modelreleases", name) == "FeatureSetNotPublished")
    assert hub.phase(name) == "Pending"

    hub.skerry("FeatureSet", "presses", SPEC, NAMESPACE)
    hub.until("the version is published", lambda: reason(hub, "featuresets", "presses") == "Succeeded")
    status = hub.get("featuresets", "presses")["status"]
    assert status["digest"] == bundle.manifest.features[0].feature_set.digest
    assert status["effective"]["features"][1]["ttl"] == "1h"
    assert hub.get("featuresets", "presses")["metadata"]["generation"] == 1
    shown = hub.cluster.kubectl("get", "fset", "-n", NAMESPACE).stdout.split()
    assert {"presses", "1.0.0", "vibration", "True", "Succeeded"} <= set(shown)

    hub.until("the site is told", lambda: hub.a.versions() == {"har": "1.0.0"})
    hub.until_phase(name, "Approved")
    assert hub.a.told().feature_sets == (status["digest"],)

    deliver(hub, node)
    node.start()
    node.wait_phase("Serving")
    node.wait(lambda: post(node, 1, 0.5) == 200)
    assert post(node, 2, 1.5) == 200
    node.wait(lambda: values(node, "press-7") == VALUES)
    status, answer = infer(node, "press-7")
    assert (status, answer["outputs"][0]["shape"]) == (200, [1, 3])
    status, answer = infer(node, "press-8")
    assert (status, "feature sum of factory/presses is NOT_FOUND" in answer["error"]) == (409, True)


def test_deleting_the_set_changes_nothing_at_the_site(hub):
    before = hub.a.told()
    hub.cluster.kubectl("delete", "featuresets.skerry.dev", "presses", "-n", NAMESPACE)
    hub.stop()
    hub.start()
    hub.skerry("Model", "har", {"analysis": {"minSamples": 60}}, NAMESPACE)
    hub.until("the hub tells again", lambda: hub.a.told().serial.n > before.serial.n)
    assert hub.a.told().feature_sets == before.feature_sets
    hub.skerry("FeatureSet", "presses", SPEC, NAMESPACE)
    hub.until("it is published again", lambda: reason(hub, "featuresets", "presses") == "Succeeded")


@pytest.mark.parametrize(
    ("version", "change", "asked", "expected"),
    [
        ("1.1.0", {}, [], "FeatureSetsDiffer"),
        ("1.2.0", {"stream": "other"}, [{"name": "presses", "version": "1.0.0"}], "FeatureSetDigestDiffers"),
        ("1.3.0", {"namespace": "else"}, [{"name": "presses", "version": "1.0.0"}], "FeatureSetElsewhere"),
    ],
)
def test_a_release_that_was_trained_on_something_else_is_refused(hub, document, version, change, asked, expected):
    binding = FeatureBinding("x", document.model_copy(update=change))
    name = hub.release("har", version, hub.bundle("har", version, features=(binding,)), featureSets=asked)
    hub.until_phase(name, "Refused")
    assert reason(hub, "modelreleases", name) == expected


def test_a_published_version_stays_what_it_is(hub):
    """The API server refuses the change; where the object was made anew, the hub's status tells the two apart."""
    changed = SPEC | {"allowedLateness": "1m"}
    wire = {
        "apiVersion": "skerry.dev/v1alpha1",
        "kind": "FeatureSet",
        "metadata": {"name": "presses", "namespace": NAMESPACE},
        "spec": changed,
    }
    refused = hub.cluster.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(wire), check=False)
    assert "what a version says can't be changed" in refused.stderr
    hub.skerry("FeatureSet", "presses", changed | {"version": "1.1.0"}, NAMESPACE)
    hub.until("both are published", lambda: len(hub.get("featuresets", "presses")["status"].get("versions", [])) == 2)
