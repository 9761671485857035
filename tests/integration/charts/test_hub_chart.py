"""The hub by its chart on a real cluster: it runs with no more rights than it was given, and leaves nothing stuck."""

import json

import pytest

from tests.cluster.lab.waiting import wait_for
from tests.integration.charts.conftest import SYSTEM, hub_chart
from tests.unit.charts.copy_crds import CHARTS as CRDS_OF_CHARTS

pytestmark = pytest.mark.lab

MODEL = {
    "apiVersion": "skerry.dev/v1alpha1",
    "kind": "Model",
    "metadata": {"name": "har", "namespace": "default"},
    "spec": {"servedName": "har", "rings": ["internal"]},
}


def apply(cluster, body):
    cluster.kubectl("apply", "-f", "-", input=json.dumps(body))


def model(cluster):
    found = cluster.kubectl("get", "model", "har", "--namespace=default", "-o", "json", check=False)
    return json.loads(found.stdout) if found.stdout else {}


@pytest.fixture(scope="module")
def hub(lab, spare, images, trust):
    """A cluster with the chart skerry-hub installed, and a Model."""
    with hub_chart(lab, spare, trust, "s3://chart-test"):
        apply(spare, MODEL)
        yield spare


def test_the_hub_reconciles_and_is_refused_nothing(hub):
    wait_for("the Model has a status", lambda: model(hub).get("status", {}).get("observedGeneration") == 1, seconds=60)
    logs = hub.kubectl("logs", "deployment/skerry-hub", f"--namespace={SYSTEM}").stdout
    assert "orbidden" not in logs


def test_a_site_that_is_declared_gets_its_namespace_and_its_rights_there(hub):
    site_class = {"kind": "SiteClass", "metadata": {"name": "gateway"}, "spec": {"image": "skerry-edge:0.1.0"}}
    edge_site = {
        "kind": "EdgeSite",
        "metadata": {"name": "charted"},
        "spec": {"siteClassName": "gateway", "hubAcceptsClient": True},
    }
    for body in (site_class, edge_site):
        apply(hub, {"apiVersion": "skerry.dev/v1alpha1", **body})
    binding = ("get", "rolebinding", "skerry-site", "--namespace=skerry-site-charted", "-o", "name")
    wait_for("the site's rights", lambda: bool(hub.kubectl(*binding, check=False).stdout), seconds=60)
    hub.kubectl("delete", "edgesite", "charted")
    hub.kubectl("delete", "namespace", "skerry-site-charted", "--timeout=60s")


def test_helms_own_test_passes(hub):
    done = hub.helm("test", "skerry-hub", f"--namespace={SYSTEM}", "--timeout=90s")
    assert "Succeeded" in done.stdout


def test_uninstalling_keeps_models_and_strands_nothing(hub):
    hub.helm("uninstall", "skerry-hub", f"--namespace={SYSTEM}", "--wait", "--timeout=2m")
    kept = hub.kubectl("get", "crd", "-o", "name").stdout
    assert all(f"{plural}.skerry.dev" in kept for plural in CRDS_OF_CHARTS["skerry-hub"])
    assert "finalizers" not in model(hub)["metadata"]
    hub.kubectl("delete", "model", "har", "--namespace=default", "--timeout=20s")
    assert not model(hub)
