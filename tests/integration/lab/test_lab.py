"""The lab does what its docstrings promise, on real clusters of its own."""

from __future__ import annotations

import json
import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from base64 import b64decode, b64encode
from pathlib import Path
from typing import TYPE_CHECKING

import minio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cluster.lab import Lab, NotAvailableError
from tests.cluster.lab.labcluster import COMPONENTS, LabCluster
from tests.cluster.lab.waiting import wait_for

from .conftest import LIVE_INSTANCE, environment

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.lab, pytest.mark.long]

FETCH = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=3).read().decode())"


@pytest.fixture
def site(own_lab: Lab) -> Iterator[LabCluster]:
    cluster = own_lab.clusters["site-a"]
    assert isinstance(cluster, LabCluster)
    yield cluster
    cluster.join()
    cluster.start()


@pytest.fixture(scope="session")
def page_url(own_lab: Lab, page_image: Path) -> str:
    """URL of the page's Service, as seen from inside site-a; the page is being served."""
    site = own_lab.clusters["site-a"]
    assert isinstance(site, LabCluster)
    site.import_images(page_image)
    address = f"{site.spec.service_prefix}.80"
    manifest = (Path(__file__).parent / "page.yaml").read_text().replace("SERVICE_ADDRESS", address)
    site.kubectl("apply", "--filename=-", input=manifest)
    site.kubectl("--namespace=lab-test", "rollout", "status", "daemonset/page", "--timeout=60s")
    url = f"http://{address}/page.html"
    wait_for("the Service answers", lambda: fetch(site, url), seconds=20)
    return url


def fetch(site: LabCluster, url: str) -> bool:
    """Whether ``url`` answers with the page, asked from the site's own network."""
    done = site.run([sys.executable, "-c", FETCH, url])
    return "a page from a pod" in done.stdout


def pod_reaches(site: LabCluster, url: str) -> bool:
    """Whether a GET of ``url`` from inside the page's pod gets any HTTP answer."""
    program = (
        "import ssl, sys, urllib.request as u, urllib.error as e\n"
        "c = ssl._create_unverified_context()\n"
        "try: u.urlopen(sys.argv[1], timeout=3, context=c); print('answered')\n"
        "except e.HTTPError: print('answered')\n"
        "except OSError as error: print(error)\n"
    )
    argv = ["exec", "daemonset/page", "--namespace=lab-test", "--", "python3", "-c", program, url]
    return "answered" in site.kubectl(*argv).stdout


def test_up_again_changes_nothing(own_lab: Lab) -> None:
    before = {name: cluster.pids() for name, cluster in own_lab.clusters.items()}
    lines: list[str] = []
    again = Lab.from_environment(environment(LIVE_INSTANCE))
    again.up(("hub", "site-a"), lines.append)
    assert lines == ["the lab was up already: hub, site-a"]
    assert {name: cluster.pids() for name, cluster in again.clusters.items()} == before


def test_up_mends_a_half_dead_lab(own_lab: Lab, site: LabCluster) -> None:
    site.kill("kine")
    site.kill("kubelet")
    site.cut()
    own_lab.store.stop()
    own_lab.up(("hub", "site-a"))
    assert site.running() == dict.fromkeys(COMPONENTS, True)
    assert site.is_up()
    assert not site.is_cut
    assert own_lab.store.is_running


def test_kubeconfig_works_from_this_machine(own_lab: Lab) -> None:
    hub = own_lab.clusters["hub"]
    assert hub.api_url == f"https://10.213.{LIVE_INSTANCE}.10:6443"
    context = ssl.create_default_context(cadata=hub.ca_pem)
    with urllib.request.urlopen(f"{hub.api_url}/version", context=context, timeout=5) as answer:
        assert json.load(answer)["gitVersion"] == "v1.34.4"
    assert hub.kubectl("get", "nodes", "--output=name").stdout == "node/hub-node\n"


def test_pod_under_restricted_policy_serves_through_service_and_probe(site: LabCluster, page_url: str) -> None:
    assert fetch(site, page_url)
    assert "GET /page.html" in site.kubectl("--namespace=lab-test", "logs", "daemonset/page").stdout
    refused = site.kubectl(
        "--namespace=lab-test", "run", "rooted", "--image=skerry-lab-page:1", "--privileged", check=False
    )
    assert "violates PodSecurity" in refused.stderr


def test_second_import_is_skipped(site: LabCluster, page_image: Path, page_url: str) -> None:
    assert site.import_images(page_image) is False


def test_cut_and_join_as_a_pod_sees_it(own_lab: Lab, site: LabCluster, page_url: str) -> None:
    api, store = f"{own_lab.clusters['hub'].api_url}/version", f"{own_lab.store.endpoint}/health"
    assert pod_reaches(site, api)
    assert pod_reaches(site, store)
    site.cut()
    assert site.is_cut
    assert not pod_reaches(site, api)
    assert not pod_reaches(site, store)
    assert fetch(site, page_url)
    site.join()
    wait_for("the pod reaches the hub again", lambda: pod_reaches(site, api), seconds=20)
    assert pod_reaches(site, store)


def test_killed_site_serves_again_with_the_link_down(site: LabCluster, page_url: str) -> None:
    client = site.exec([sys.executable, "-c", "import time; time.sleep(600)"])
    shims = {pid for pid in site.pids() if "containerd-shim" in Path(f"/proc/{pid}/cmdline").read_text()}
    pods = json.loads(site.kubectl("--namespace=lab-test", "get", "pods", "--output=json").stdout)["items"]
    assert shims
    site.cut()
    everything = site.pids()
    assert site.kill_everything() >= len(everything)
    assert site.pids() == set()
    assert not any(Path(f"/proc/{pid}").exists() for pid in shims)
    assert client.poll() is None, "a client at the site is no part of the site"
    assert not fetch(site, page_url)
    site.start()
    wait_for("the page is served offline", lambda: fetch(site, page_url), seconds=40)
    assert site.is_cut
    again = json.loads(site.kubectl("--namespace=lab-test", "get", "pods", "--output=json").stdout)["items"]
    assert [pod["metadata"]["uid"] for pod in again] == [pod["metadata"]["uid"] for pod in pods]
    client.kill()
    client.wait()


def test_store_keeps_its_objects_over_stop_and_start(own_lab: Lab) -> None:
    store = own_lab.store
    host = store.endpoint.removeprefix("http://")
    client = minio.Minio(host, store.access_key, store.secret_key, secure=False, region=store.region)
    if not client.bucket_exists("lab-test"):
        client.make_bucket("lab-test")
    client.fput_object("lab-test", "folder/object", __file__)
    assert (store.root / "lab-test/folder/object").read_bytes() == Path(__file__).read_bytes()
    store.stop()
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(f"{store.endpoint}/health", timeout=3)
    store.start()
    answer = client.get_object("lab-test", "folder/object")
    assert answer.read() == Path(__file__).read_bytes()
    answer.close()
    answer.release_conn()


def test_credentials_are_for_root_alone(own_lab: Lab) -> None:
    secrets = [own_lab.layout.state / "store/credentials.json", own_lab.clusters["hub"].kubeconfig]
    assert [path.stat().st_mode & 0o777 for path in secrets] == [0o600, 0o600]


def test_working_sets_are_those_of_the_pods(site: LabCluster, page_url: str) -> None:
    with site.sampled_working_sets(every=0.05):
        wait_for("the page is there", lambda: fetch(site, page_url), seconds=30)
    sizes = {container: size for (_, container), size in site.working_sets().items()}
    assert 2**20 < sizes["page"] < 64 * 2**20


def test_helm_talks_to_the_cluster(site: LabCluster) -> None:
    assert re.match(r"NAME\s+NAMESPACE", site.helm("list").stdout)


def test_contexts_name_clusters_that_are_left_alone(own_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lab's own clusters, taken for somebody's."""
    kubeconfigs = ":".join(str(cluster.kubeconfig) for cluster in own_lab.clusters.values())
    tools = {str(own_lab.programs[name].parent) for name in ("kubectl", "helm")}
    monkeypatch.setenv("KUBECONFIG", kubeconfigs)
    monkeypatch.setenv("PATH", ":".join([*sorted(tools), os.environ["PATH"]]))
    before = {name: cluster.pids() for name, cluster in own_lab.clusters.items()}
    theirs = Lab.from_environment(environment(LIVE_INSTANCE) | {"CONTEXTS": "hub,site-a"})
    theirs.up()
    assert [cluster.node_name for cluster in theirs.clusters.values()] == ["hub-node", "site-a-node"]
    assert theirs.clusters["site-a"].kubectl("get", "--raw=/readyz").stdout == "ok"
    with pytest.raises(NotAvailableError):
        theirs.clusters["site-a"].kill_everything()
    theirs.down()
    assert {name: cluster.pids() for name, cluster in own_lab.clusters.items()} == before


CSR = """
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: lab-test}
spec:
  signerName: kubernetes.io/kube-apiserver-client
  expirationSeconds: 600
  usages: [client auth]
  request: %s
"""


def test_a_bootstrap_token_gets_a_client_certificate(own_lab: Lab) -> None:
    """Enrollment as the product does it: token, CSR, approval, and the certificate lets its holder in."""
    hub = own_lab.clusters["hub"]
    token = ["--from-literal=token-id=abcdef", "--from-literal=token-secret=0123456789abcdef"]
    use = ["--from-literal=usage-bootstrap-authentication=true", "--type=bootstrap.kubernetes.io/token"]
    made = hub.kubectl(
        "--namespace=kube-system", "create", "secret", "generic", "bootstrap-token-abcdef", *token, *use,
        "--dry-run=client", "--output=yaml",
    )  # fmt: skip
    hub.kubectl("apply", "--filename=-", input=made.stdout)
    hub.kubectl("delete", "csr/lab-test", "--ignore-not-found")
    binding = hub.kubectl(
        "create", "clusterrolebinding", "lab-test", "--clusterrole=system:node-bootstrapper",
        "--group=system:bootstrappers", "--dry-run=client", "--output=yaml",
    )  # fmt: skip
    hub.kubectl("apply", "--filename=-", input=binding.stdout)

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "lab-test-site")])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = b64encode(request.public_bytes(serialization.Encoding.PEM)).decode()
    with_token = "--token=abcdef.0123456789abcdef"
    # An empty kubeconfig, or kubectl would prefer the administrator's certificate over the token.
    argv = [str(hub.programs["kubectl"]), f"--server={hub.api_url}", "--insecure-skip-tls-verify", with_token]
    created = hub.run([*argv, "--kubeconfig=/dev/null", "create", "--filename=-"], input=CSR % pem)
    assert created.returncode == 0, created.stderr
    hub.kubectl("certificate", "approve", "lab-test")
    signed: list[str] = []

    def is_signed() -> bool:
        signed[:] = [hub.kubectl("get", "csr", "lab-test", "--output=jsonpath={.status.certificate}").stdout]
        return bool(signed[0])

    wait_for("the controller-manager signs", is_signed, seconds=20)
    certificate = x509.load_pem_x509_certificate(b64decode(signed[0]))
    assert certificate.subject == name
    lifetime = certificate.not_valid_after_utc - certificate.not_valid_before_utc
    assert lifetime.total_seconds() <= 600 + 300
