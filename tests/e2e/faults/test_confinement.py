"""What a running site's live credentials open: its own part of store and hub, and nothing of another site's."""

import json
import subprocess
from collections.abc import Callable
from urllib.parse import quote, urlsplit, urlunsplit

import pytest
import urllib3
import yaml

from skerry_core.store.blobs import blob_key, put_bytes
from skerry_core.store.grant import StoreGrant
from tests.cluster.lab.waiting import wait_for
from tests.e2e.faults.world import SITE, TOLD_WITHIN, World
from tests.e2e.story.platform import BUCKET, SYSTEM

pytestmark = [pytest.mark.lab, pytest.mark.long]

OTHER = "site-b"
EVENTS = f"sites/{OTHER}/events/1"


@pytest.fixture
def grant(world) -> StoreGrant:
    """The grant that site-a's sync holds; the store has objects of site-b, too."""
    store = world.story.platform.store()
    store.put(EVENTS, b"site-b's events")
    return world.grant_at_site()


def status(method: str, url: str, **what: object) -> int:
    return urllib3.request(method, url, retries=False, **what).status


def elsewhere(url: str, key: str) -> str:
    return urlunsplit(urlsplit(url)._replace(path=f"/{BUCKET}/{key}"))


def posted(grant: StoreGrant, key: str) -> int:
    file = ("data", b"events", "application/octet-stream")
    return status("POST", grant.upload.url, fields={**grant.upload.fields, "key": key, "file": file})


def test_it_reads_what_it_is_assigned_and_nothing_else(world, grant):
    foreign = put_bytes(world.story.platform.store(), b"a model of site-b alone")
    assert foreign.digest not in grant.blobs
    for digest, url in grant.blobs.items():
        assert status("GET", url) == 200
        assert status("GET", elsewhere(url, EVENTS)) == 403
        assert status("GET", elsewhere(url, blob_key(foreign.digest))) == 403
        assert status("PUT", url, body=b"other bytes") == 403
        assert status("DELETE", url) == 403, digest


def test_it_lists_its_own_prefix_and_no_other(grant):
    own = quote(f"sites/{SITE}/", safe="")
    assert own in grant.list_url
    assert status("GET", grant.list_url) == 200
    assert status("GET", grant.list_url.replace(own, quote(f"sites/{OTHER}/", safe=""))) == 403
    assert status("GET", grant.list_url.replace(own, "")) == 403


def test_it_writes_below_its_own_prefix_and_no_other(world, grant):
    store = world.story.platform.store()
    before = list(store.list(f"sites/{OTHER}/"))
    assert posted(grant, f"sites/{SITE}/probe") == 201
    for key in (EVENTS, f"sites/{OTHER}/events/2", f"sites/{SITE}/../{OTHER}/events/2", "models/exercise/9.0.0/x"):
        assert posted(grant, key) == 403
    assert list(store.list(f"sites/{OTHER}/")) == before
    store.delete(f"sites/{SITE}/probe")


@pytest.fixture
def as_site(world, tmp_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """kubectl at the hub with the client certificate that site-a holds."""
    secret = world.site.kubectl("get", "secret", "hub-credential", f"--namespace={SYSTEM}", "--output=json")
    data = json.loads(secret.stdout)["data"]
    cluster = yaml.safe_load(world.hub.kubeconfig.read_text())["clusters"][0]
    user = {"client-certificate-data": data["tls.crt"], "client-key-data": data["tls.key"]}
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [cluster],
        "users": [{"name": SITE, "user": user}],
        "contexts": [{"name": SITE, "context": {"cluster": cluster["name"], "user": SITE}}],
        "current-context": SITE,
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    return lambda *args: world.hub.run([str(world.lab.programs["kubectl"]), f"--kubeconfig={path}", *args])


@pytest.fixture(scope="module")
def other_site(world: World):
    """Site-b, let in at the hub: it has a namespace, an assignment and a grant there, and no cluster."""
    edge_site = {
        "apiVersion": "skerry.dev/v1alpha1",
        "kind": "EdgeSite",
        "metadata": {"name": OTHER, "labels": {"ring": "internal"}},
        "spec": {"hubAcceptsClient": True, "siteClassName": "gateway"},
    }
    world.story.hub.apply(yaml.safe_dump(edge_site))
    granted = ("get", "secret", "store-grant", f"--namespace=skerry-site-{OTHER}")
    wait_for(
        "site-b has its grant", lambda: world.hub.kubectl(*granted, check=False).returncode == 0, seconds=TOLD_WITHIN
    )
    yield OTHER
    world.hub.kubectl("delete", "edgesite", OTHER)
    world.hub.kubectl("delete", "namespace", f"skerry-site-{OTHER}", "--timeout=60s")


def test_it_sees_its_own_namespace_at_the_hub_and_no_other(as_site, other_site):
    for what in ("siteassignment/current", "secret/store-grant"):
        own = as_site("get", what, f"--namespace=skerry-site-{SITE}")
        assert own.returncode == 0, own.stderr
        foreign = as_site("get", what, f"--namespace=skerry-site-{other_site}")
        assert "orbidden" in foreign.stderr
    for what in ("siteassignments", "secrets", "namespaces", "edgesites"):
        assert "orbidden" in as_site("get", what, "--all-namespaces").stderr


def test_it_reports_for_itself_alone(as_site, other_site):
    patch = ("patch", "siteassignment", "current", "--subresource=status", "--type=merge", "--patch={}")
    assert as_site(*patch, f"--namespace=skerry-site-{SITE}").returncode == 0
    assert "orbidden" in as_site(*patch, f"--namespace=skerry-site-{other_site}").stderr
    spec = ("patch", "siteassignment", "current", "--type=merge", "--patch={}")
    assert "orbidden" in as_site(*spec, f"--namespace=skerry-site-{SITE}").stderr
