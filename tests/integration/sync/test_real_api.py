"""Sync against a real API server, with the rights that the site's chart gives it and a token bound to a node."""

import json

import pytest

from skerry_api.kinds import RUNTIME_NAMESPACE
from skerry_api.v1alpha1.runtimenode import ConsentRelay, FeatureSnapshot
from skerry_core.errors import SkerryError
from skerry_edge.sync import local_api
from skerry_edge.sync.local_api import LocalApi
from skerry_edge.sync.neighbours.choice import sources
from tests.cluster.lab import Lab, LabError
from tests.conftest import LAB_REQUIRED
from tests.integration.lab.conftest import environment
from tests.integration.sync.node import Node
from tests.unit.delivery.worlds import Release, assignment

pytestmark = pytest.mark.lab

INSTANCE = 7
CHART = "charts/skerry-site"
TEMPLATES = ("crds", "runtime-namespace", "admission")
VALUES = {
    "site.name": "site-a",
    "hub.url": "https://hub.example.test:6443",
    "hub.ca": "none",
    "bootstrap.token": "abcdef.0123456789abcdef",
    "trust.trustedRoot": "none",
    "trust.policyPublicKey": "none",
    "trust.hubPublicKey": "none",
}
RELEASE = Release("1.0.0", (b"model",))
OTHER = "sha256:" + "b" * 64


@pytest.fixture(scope="module")
def cluster():
    """A cluster of these tests' own, with the CRDs, roles and admission policies of the site's chart."""
    lab = Lab.from_environment(environment(INSTANCE))
    try:
        lab.down()
        lab.up(("hub",))
    except LabError as error:
        if LAB_REQUIRED:
            pytest.fail(f"the lab is required (SKERRY_REQUIRE_LAB=1) and can't start: {error}")
        pytest.skip(f"no lab: {error}")
    try:
        yield _installed(lab.clusters["hub"])
    finally:
        lab.down()


def _installed(cluster):
    values = [f"--set-string={name}={value}" for name, value in VALUES.items()]
    shown = [f"--show-only=templates/{name}.yaml" for name in TEMPLATES]
    rendered = cluster.helm("template", "skerry-site", CHART, "--namespace=skerry-system", *values, *shown).stdout
    cluster.kubectl("apply", "--server-side", "-f", "-", input=rendered)
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
    return cluster


@pytest.fixture
def credentials(cluster, tmp_path):
    """What the kubelet mounts into the container."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    bound = ("--bound-object-kind=Node", f"--bound-object-name={cluster.node_name}")
    token = cluster.kubectl("create", "token", "skerry-runtime", f"--namespace={RUNTIME_NAMESPACE}", *bound).stdout
    (folder / "token").write_text(token)
    (folder / "ca.crt").write_text(cluster.ca_pem)
    return folder


@pytest.fixture
def node(cluster, credentials, tmp_path, inference):
    node = Node(tmp_path, cluster.api_url, credentials, inference, name=cluster.node_name)
    yield node
    node.stop()
    cluster.kubectl("delete", "siteassignments,runtimenodes", "--all", f"--namespace={RUNTIME_NAMESPACE}")


def mirror(cluster, node, n: int) -> None:
    """What the site operator does with an assignment."""
    document = assignment(RELEASE, serial=(1, n))
    spec = {"envelope": node.seal(document), "serial": document.serial.to_wire()}
    metadata = {"name": "current", "namespace": RUNTIME_NAMESPACE}
    item = {"apiVersion": "skerry.dev/v1alpha1", "kind": "SiteAssignment", "metadata": metadata, "spec": spec}
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=json.dumps(item))


def runtime_node(cluster) -> dict:
    shown = cluster.kubectl("get", "runtimenode", cluster.node_name, "--output=json", "--ignore-not-found").stdout
    return json.loads(shown) if shown else {}


def reasons(cluster) -> set[str]:
    return {condition["reason"] for condition in runtime_node(cluster).get("status", {}).get("conditions", ())}


def accepted(node) -> str:
    path = node.root / "store/assignment.json"
    return path.read_text() if path.exists() else ""


def test_takes_the_mirror_and_the_sites_verdict_and_keeps_its_own_object(cluster, node):
    node.start_here()
    node.wait("told that nothing came", lambda: "AssignmentMissing" in reasons(cluster), seconds=60)
    mirror(cluster, node, 1)
    node.wait("accepted", lambda: accepted(node))
    verdict = {"namespace": "demo", "model": "har", "phase": "RolledBack", "quarantined": [OTHER]}
    patch = json.dumps({"status": {"models": [verdict]}})
    cluster.kubectl(
        "patch", "siteassignment", "current", f"--namespace={RUNTIME_NAMESPACE}", "--subresource=status",
        "--type=merge", f"--patch={patch}",
    )  # fmt: skip
    node.wait("restricted", (node.root / "store/restrictions.json").exists)
    found = runtime_node(cluster)
    assert found["spec"] == {"nodeName": cluster.node_name}
    assert found["status"]["site"] == "site-a"
    assert found["status"]["disk"]["capacity"] > 0


def test_a_restart_of_the_api_server_is_lived_through(cluster, node):
    mirror(cluster, node, 1)
    node.start_here()
    node.wait("accepted", lambda: accepted(node))
    first = accepted(node)
    cluster.kill("kube-apiserver")
    cluster.start()
    mirror(cluster, node, 2)
    node.wait("the newer one accepted", lambda: accepted(node) != first, seconds=60)


def test_writing_what_is_there_is_no_change(cluster, credentials, node):
    api = LocalApi(cluster.api_url, credentials)
    status = {"observedGeneration": 1, "conditions": [], "site": "site-a", "queueDepth": 1000, "disk": None}
    assert api.write_node_status(node.name, status) == 1
    before = runtime_node(cluster)["metadata"]["resourceVersion"]
    api.write_node_status(node.name, status)
    assert runtime_node(cluster)["metadata"]["resourceVersion"] == before


def test_what_nodes_say_of_consent_is_kept_and_can_be_followed(cluster, credentials, node, monkeypatch):
    monkeypatch.setattr(local_api, "WATCH_SECONDS", (1, 1))
    page = {"after": 3, "withdrawals": [{"number": 4}, {"number": 5, "entity": "ab" * 16, "dataClasses": ["health"]}]}
    taken = [{"node": "another-node", "incarnation": "22" * 8, "number": 7}]
    said = {"key": "00" * 8, "incarnation": "11" * 8, "pages": [page], "taken": taken}
    api = LocalApi(cluster.api_url, credentials)
    api.write_node_status(node.name, {"observedGeneration": 1, "conditions": [], "site": "site-a", "consent": said})
    found = []
    api.follow_nodes(found.extend, found.append)
    (kept,) = [each for each in found if each["metadata"]["name"] == node.name]
    assert ConsentRelay.model_validate(kept["status"]["consent"]) == ConsentRelay.model_validate(said)


def test_what_a_node_has_for_others_is_kept_and_can_be_listed(cluster, credentials, node):
    times = {
        "begunAt": "1970-01-01T00:00:00Z",
        "madeAt": "2026-05-01T12:00:00.123456Z",
        "expiresAt": "2026-05-03T12:00:00.123456Z",
    }
    snapshot = {"featureSet": f"sha256:{'a' * 64}", "digest": f"sha256:{'b' * 64}", "size": 1 << 30, **times}
    said = {"site": "site-a", "address": "[fd00::7]:8082", "snapshots": [snapshot]}
    api = LocalApi(cluster.api_url, credentials)
    api.write_node_status(node.name, {"observedGeneration": 1, "conditions": [], **said})
    (found,) = sources(api.nodes(), "site-a", "another-node")
    assert (found.node, found.address) == (node.name, said["address"])
    assert found.snapshot == FeatureSnapshot.model_validate(snapshot)


def test_the_object_of_another_node_is_out_of_reach(cluster, credentials, node):
    with pytest.raises(SkerryError, match="own node"):
        LocalApi(cluster.api_url, credentials).write_node_status("another-node", {"site": "site-a"})


def test_other_secrets_are_out_of_reach(cluster, credentials, node):
    api = LocalApi(cluster.api_url, credentials)
    with pytest.raises(SkerryError) as caught:
        api.follow("/api/v1/namespaces/skerry-system/secrets", "store-grant", print)
    assert caught.value.reason == "ApiForbidden"
