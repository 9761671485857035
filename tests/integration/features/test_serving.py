"""Features through the inference process: events in, a model that is filled from them, restarts, a new version."""

import json
import shutil
import time
from collections.abc import Iterator
from itertools import count

import pytest

from skerry_core import digest as digests
from skerry_core.canonical import canonical_json
from skerry_core.features.definition import FeatureInput, FeatureSetDocument, FeatureSetRef
from skerry_core.features.plan import compile_set
from skerry_edge.features.note import EntityRecord, VersionNote
from skerry_edge.features.snapshots import NEIGHBOURS, Snapshots
from skerry_edge.ingest.devices import read_devices
from tests.integration.inference import models
from tests.integration.inference.node import Node
from tests.integration.inference.test_prediction_log import logged
from tests.integration.ingest.running import Client
from tests.sigstore_instance.fixtures import sigstore  # noqa: F401 - a fixture
from tests.unit.features.sets import document, event, feature, run
from tests.unit.ingest.worlds import policy, stream_policy

NAMES = ("count", "sum", "last", "mean")
SCORES = [2 + 0.3 * 3.25, 6.5 + 0.2 * 3.25, 4 + 0.1 * 3.25]  # by the model's weights
FEATURES = [
    feature("count", "Count", None, ttl="1h"),
    feature("sum", "Sum", onStale="Reject", default=None),
    feature("last", "Last"),
    feature("mean", "Mean"),
]


def taken_in(data, subject, *values):
    """An entity's record by a set's document, as another node has it that took these in a minute ago."""
    at, states = time.time_ns() // 1000 - 60_000_000, {}
    compiled = compile_set(FeatureSetDocument.model_validate_json(data))
    run(compiled, [event({"rms": rms}, at, subject=subject) for rms in values], states)
    ((key, state),) = states.items()
    return key, EntityRecord(state.encode(compiled), at, 5, 7)


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
    listed = json.loads(node.get("/v1/features/plant/presses/press-7", status=True)[1])
    assert [each["status"] for each in listed["versions"][0]["features"]] == ["PRESENT"] * 4
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
    # The phase is told a moment before requests are shared out.
    node.wait(lambda: (found := infer(node, "press-7"))[0] == 200 and found[1]["parameters"]["variant"] == "challenger")
    assert node.stop() == 0
    record = logged(node)[-1]
    assert record["entity"] == {"press": "press-7"}
    (lineage,) = record["features"]
    assert (lineage["set"], lineage["version"], lineage["seq"]) == ("plant/presses", "2.0.0", 3)
    assert len(lineage["ages"]) == 4


def tell(node, as_of=None, **devices):
    """Give the node another registry, and wait until it goes by that."""
    data = json.dumps({"devices": devices} | ({} if as_of is None else {"asOf": as_of})).encode()
    node.devices_dir.mkdir(exist_ok=True)
    (node.devices_dir / "new").write_bytes(data)
    (node.devices_dir / "new").rename(node.devices_dir / "devices.json")
    if node.process is not None:
        digest = read_devices(data).digest
        node.wait(lambda: f'skerry_devices{{digest="{digest}"}}' in node.get("/metrics", status=True)[1].decode())


def shown(node, entity="press-7", member="value"):
    """The features of an entity, once its set is computed."""
    status, body = node.get(f"/v1/features/plant/presses/{entity}", status=True)
    return status == 200 and [each[member] for each in json.loads(body)["versions"][0]["features"]]


def test_what_is_known_of_devices_counts_as_it_was_when_their_events_came(node):
    """A release waits, and says for what, until events can count; a replay asks no registry."""
    fields = [
        {"name": "rms", "path": "data.rms", "type": "Float64"},
        {"name": "gain", "path": "device.gain", "type": "Float64"},
        {"name": "model", "path": "device.model", "type": "String"},
    ]
    features = [
        feature("count", "Count", None),
        feature("sum", "Sum", "rms * gain"),
        feature("last", "Last"),
        feature("mean", "Mean", filter="model == 'X1'"),
    ]
    data = canonical_json(document(features, fields=fields))
    ref = FeatureSetRef(namespace="plant", name="presses", version="1.0.0", digest=node.put_blob(data))
    release = node.release("1.0.0", models.good(), features=bound(ref))

    numbers = count(10)

    def declare(*streams):
        told = node.put_blob(canonical_json(policy(*streams).to_wire()))
        node.assign(release, feature_sets=(ref.digest,), sync_policy=told)

    tell(node, **{"press-7": {"gain": 2, "model": "X1"}})
    declare()
    node.start()
    for reason, words, streams in (
        ("StreamNotDeclared", "add vibration to spec.streams", [stream_policy("vibration")]),
        ("DevicePathMissing", "no devicePath", [stream_policy("vibration", device_path="subject")]),
    ):
        model = node.wait(lambda reason=reason: (found := node.model()).get("reason") == reason and found)
        assert model["phase"] == "Waiting"
        assert words in model["message"]
        declare(*streams)
    node.wait_phase("Serving")

    def events_go_by_the_registry():
        """Ingest takes up a policy in its own time; until then it stores events without a word on devices."""
        post(node, next(numbers), 1.0, "press-9")
        return "skerry_events_unknown_device_total{" in node.get("/metrics", status=True)[1].decode()

    node.wait(events_go_by_the_registry)
    assert post(node, 1, 2.5) == 200
    tell(node, **{"press-7": {"gain": 3, "model": "X2"}})
    assert post(node, 3, 4.0) == 200
    expected = [2.0, 17.0, 4.0, 2.5]
    node.wait(lambda: shown(node) == expected)
    metrics = node.get("/metrics", status=True)[1].decode()
    assert 'reason="UnknownDevice",set="plant/presses"' in metrics
    assert "skerry_feature_unfed{" not in metrics

    node.kill()
    shutil.rmtree(node.state / "features")
    (node.devices_dir / "devices.json").unlink()
    node.start()
    node.wait_phase("Serving", release)
    node.wait(lambda: shown(node) == expected)

    # What is derived from a registry that nobody has checked for long is as old as that, however new the event.
    tell(node, as_of="2020-01-01T00:00:00Z", **{"press-8": {"gain": 3, "model": "X1"}})
    assert post(node, 4, 4.0, "press-8") == 200
    node.wait(lambda: shown(node, "press-8") == [1.0, 12.0, 4.0, 4.0])
    assert shown(node, "press-8", "status") == ["PRESENT", "OUTSIDE_MAX_AGE", "PRESENT", "OUTSIDE_MAX_AGE"]
    assert node.stop() == 0


def test_a_new_node_goes_on_from_anothers_snapshot(node):
    data, ref = versioned("1.0.0")
    node.put_blob(data)
    release = node.release("1.0.0", models.good(), features=bound(ref))
    told = {"sync_policy": node.put_blob(canonical_json(policy(stream_policy("vibration")).to_wire()))}
    now = time.time_ns() // 1000
    note = VersionNote(
        data, {"00000000000000aa": 3}, warm=True, begun=now - 7_200_000_000, made_by="node-9", made=now - 30_000_000
    )
    others = Snapshots(node.root / "store" / NEIGHBOURS)
    assert others.write(ref.digest, note, iter([taken_in(data, "press-7", 2.5, 4.0)]), 0)
    node.assign(release, feature_sets=(ref.digest,), **told)
    node.start()
    node.wait_phase("Serving")
    _, answer = node.wait(lambda: (found := infer(node, "press-7"))[0] == 200 and found)
    assert answer["outputs"][0]["data"] == pytest.approx(SCORES)
    node.wait(lambda: post(node, 1, 1.0) == 200)
    node.wait(lambda: infer(node, "press-7")[1]["outputs"][0]["data"] != pytest.approx(SCORES))
    answered = infer(node, "press-7")[1]["parameters"]["prediction_id"]
    _, explained = node.wait(
        lambda: (found := node.get(f"/v1/predictions/{answered}", status=True))[0] == 200 and found
    )
    (filled,) = json.loads(explained)["inputs"]
    assert [(each["counted"], each["found"]) for each in filled["features"]] == [(3, 1)] * 4
    assert "node node-9 took in until" in filled["notes"][0]
    (shown,) = json.loads(node.get("/v1/features/plant/presses/press-7", status=True)[1])["versions"]
    assert (shown["adopted"]["node"], shown["features"][1]["value"]) == ("node-9", 7.5)
    assert 'skerry_feature_adopted_timestamp_seconds{node="node-9"' in node.get("/metrics", status=True)[1].decode()
    node.wait(lambda: json.loads((node.root / "inference" / "features" / "sought.json").read_bytes()) == {})
