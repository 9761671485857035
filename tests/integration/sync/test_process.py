"""The process as a whole: its start, its probes, its end, and the object that it keeps."""

import json
import subprocess
import sys

from skerry_core import digest
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.ingest.consent import WITHDRAWN, entity_key, site_hash
from skerry_edge.ingest.inbox import NAME, read_inbox
from skerry_edge.ingest.node_time import NodeTime
from skerry_edge.ingest.relay import ConsentRelay
from skerry_edge.ingest.streams import Streams
from skerry_edge.sync.outbound.salt import SALT_BYTES
from tests.integration.sync.kube import NODES
from tests.integration.sync.node import Node, encoded
from tests.unit.delivery.worlds import POLICY, Release, assignment
from tests.unit.ingest.worlds import NOW, event

RELEASE = Release("1.0.0", (b"model",))
MIB = 1 << 20


def serving(n: int) -> dict:
    model = {"namespace": "demo", "model": "har", "phase": "Serving", "servingDigest": RELEASE.ref.digest}
    return {
        "models": [model],
        "resident": [RELEASE.ref.digest],
        "observedSerial": {"incarnation": 1, "n": n},
    }


def test_lives_in_little_memory_and_ends_at_once(node, kube, store):
    store.blobs = {digest.of_bytes(POLICY): POLICY, **RELEASE.blobs}
    kube.assign(node.seal(assignment(RELEASE)))
    kube.grant(encoded(store.grant()))
    node.inference.status = serving(1)
    node.start()
    node.wait("serving", lambda: kube.reasons("node-1") >= {"Serving"})
    assert node.working_set() < 100 * MIB  # of the 160 that its container has
    assert node.terminate() == 0
    events = [json.loads(line) for line in node.log.read_text().splitlines()]
    assert events[-1]["event"] == "stopped"


def test_says_which_setting_is_missing(node):
    environment = {key: value for key, value in node.environment.items() if key != "SKERRY_NODE"}
    done = subprocess.run([sys.executable, "-m", "skerry_edge.sync"], env=environment, capture_output=True, check=False)
    assert done.returncode == 2
    assert "SKERRY_NODE" in json.loads(done.stdout)["message"]


def test_alive_and_ready_before_anything_answers(node, kube, store):
    kube.stop()
    node.start_here()
    node.wait("ready", node.is_ready)
    assert node.get("/livez") == "ok\n"
    assert "skerry_sync_queue_records" in node.get("/metrics")


def test_keeps_its_runtime_node_and_writes_news_only(node, kube):
    kube.assign(node.seal(assignment(RELEASE)))
    node.inference.status = serving(1)
    node.start_here()
    node.wait("told", lambda: "GrantMissing" in kube.reasons("node-1"))
    stored = kube.objects[f"{NODES}/node-1"]
    assert stored["spec"] == {"nodeName": "node-1"}
    assert stored["status"]["models"][0]["servingDigest"] == RELEASE.ref.digest
    node.inference.status["models"][0]["phase"] = "Canary"
    node.inference.status["models"][0]["requests"] = 10
    node.wait("canary told", lambda: kube.objects[f"{NODES}/node-1"]["status"]["models"][0]["phase"] == "Canary")


def test_a_deleted_runtime_node_comes_back_with_the_next_news(node, kube):
    node.inference.status = serving(1)
    node.start_here()
    node.wait("told", lambda: kube.reasons("node-1"))
    kube.delete(f"{NODES}/node-1")
    kube.assign(node.seal(assignment(RELEASE)))
    node.wait("told again", lambda: kube.reasons("node-1"))


def test_a_mirror_edited_by_hand_is_refused_with_a_reason_and_heals(node, kube):
    good = node.seal(assignment(RELEASE, serial=(1, 2)))
    kube.assign(good)
    node.inference.status = serving(2)
    node.start_here()
    path = node.root / "store/assignment.json"
    node.wait("accepted", path.exists)
    before = path.read_bytes()
    kube.assign(good.replace("payload", "payl0ad"))
    node.wait("refused", lambda: "EnvelopeInvalid" in kube.reasons("node-1"))
    kube.assign(node.seal(assignment(RELEASE, serial=(1, 1))))
    node.wait("refused as older", lambda: "SerialOlder" in kube.reasons("node-1"))
    assert path.read_bytes() == before
    kube.assign(good)
    node.wait("healed", lambda: not kube.reasons("node-1") & {"EnvelopeInvalid", "SerialOlder"})


def test_a_mirror_that_goes_deletes_nothing(node, kube):
    kube.assign(node.seal(assignment(RELEASE)))
    node.start_here()
    path = node.root / "store/assignment.json"
    node.wait("accepted", path.exists)
    watches = kube.watches
    kube.delete("/apis/skerry.dev/v1alpha1/namespaces/skerry-runtime/siteassignments/current")
    kube.expire_watches()
    node.wait("watching anew", lambda: kube.watches > watches)
    assert path.exists()


def test_follows_through_restarts_of_the_api_server_and_new_tokens(node, kube):
    path = node.root / "store/assignment.json"
    kube.assign(node.seal(assignment(RELEASE, serial=(1, 1))))
    node.start_here()
    node.wait("accepted", path.exists)
    kube.stop()
    kube.rotate("token-2")
    first = path.read_bytes()
    kube.assign(node.seal(assignment(RELEASE, serial=(1, 2))))
    kube.start()
    node.wait("the newer one accepted", lambda: path.read_bytes() != first)


def test_a_withdrawal_at_one_node_is_taken_at_another(tmp_path, kube, inference):
    """Two nodes and nothing but their API server between them; what inference does is done here."""
    nodes = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        node = Node(tmp_path / name, kube.url, kube.credentials, inference, name)
        (node.root / "sync").mkdir()
        (node.root / "sync" / "salt").write_bytes(b"s" * SALT_BYTES)
        nodes.append(node)
    logs = [EventLogs(node.root / "inference/log", Owner("site-a", node.name, "boot-1")) for node in nodes]
    streams = [Streams(each, NodeTime(lambda: NOW), lambda: 0.0) for each in logs]
    for each in streams:
        each.apply(DEFAULT_POLICY)
    inbox = nodes[1].root / "store" / NAME
    try:
        for node in nodes:
            node.start_here()
        said = event(1, type=WITHDRAWN, subject="ann", data={"dataClasses": ["health"]})
        streams[0].find("consent").accept([said])
        nodes[1].wait("told", lambda: (found := read_inbox(inbox)) is not None and found.waiting)
        found = read_inbox(inbox)
        assert [each.entity for each in found.waiting] == [site_hash(found.secret, entity_key("ann"))]
        assert "ann" not in json.dumps(kube.objects)
        ConsentRelay(inbox, lambda: streams[1].find("consent"), lambda: None).look()

        def relays():
            return [kube.objects.get(f"{NODES}/{name}", {}).get("status", {}).get("consent") for name in ("one", "two")]

        nodes[0].wait("taken", lambda: all(relays()) and relays()[1].get("taken") and not relays()[0].get("pages"))
        assert [(each["node"], each["number"]) for each in relays()[1]["taken"]] == [("one", 1)]
        nodes[1].wait("done with", lambda: not read_inbox(inbox).waiting)
    finally:
        for node, each in zip(nodes, logs, strict=True):
            node.stop()
            each.close()
