"""The charts as Helm renders them; no cluster is asked."""

import json

import pytest
import yaml

from skerry_edge.ingest.devices import read_devices
from skerry_edge.ingest.producers import read_producers
from skerry_operator.site.names import DEVICES, MQTT, OTLP, PRODUCERS
from tests.cluster.lab import LabError
from tests.integration.charts.rendering import CHARTS, HUB, SITE

pytestmark = pytest.mark.lab
BOTH = [("skerry-hub", HUB), ("skerry-site", SITE)]
NAMESPACE = "--namespace=skerry-system"


@pytest.fixture(scope="session")
def render(spare):
    def rendered(chart, *arguments):
        done = spare.helm("template", chart, str(CHARTS / chart), NAMESPACE, *arguments)
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    return rendered


def of_kind(documents, kind):
    return [document for document in documents if document["kind"] == kind]


@pytest.mark.parametrize(("chart", "values"), BOTH)
def test_lint_finds_nothing(spare, chart, values):
    done = spare.helm("lint", "--strict", str(CHARTS / chart), *values)
    assert "0 chart(s) failed" in done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize(("chart", "values"), BOTH)
def test_rendering_twice_gives_the_same_bytes(spare, chart, values):
    arguments = ("template", chart, str(CHARTS / chart), NAMESPACE, *values)
    assert spare.helm(*arguments).stdout == spare.helm(*arguments).stdout


@pytest.mark.parametrize(("chart", "values"), BOTH)
def test_crds_are_kept_or_left_out_as_asked(render, chart, values):
    kept = of_kind(render(chart, *values), "CustomResourceDefinition")
    assert kept
    assert all(crd["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep" for crd in kept)
    loose = of_kind(render(chart, *values, "--set=crds.keep=false"), "CustomResourceDefinition")
    assert not any("annotations" in crd["metadata"] for crd in loose)
    assert not of_kind(render(chart, *values, "--set=crds.enabled=false"), "CustomResourceDefinition")


@pytest.mark.parametrize(("chart", "values"), BOTH)
def test_images_come_from_the_registry_that_is_given(render, chart, values):
    documents = render(chart, *values, "--set=global.imageRegistry=mirror.example.test:5000/skerry/")
    (deployment,) = of_kind(documents, "Deployment")
    image = deployment["spec"]["template"]["spec"]["containers"][0]["image"]
    assert image == "mirror.example.test:5000/skerry/skerry-operator:0.1.0"


@pytest.mark.parametrize(
    ("chart", "values", "wrong", "told"),
    [
        ("skerry-hub", HUB, "--set=store.uri=http://x", "store/uri"),
        ("skerry-hub", HUB, "--set=hub.keySecrets=x", "keySecrets"),
        ("skerry-hub", HUB, "--set=store.endpoint=", "store.endpoint"),
        ("skerry-site", SITE, "--set=site.name=Site_A", "site/name"),
        ("skerry-site", SITE, "--set=hub.url=http://plain", "hub/url"),
        ("skerry-site", SITE, "--set=bootstrap.token=abc", "bootstrap/token"),
        ("skerry-site", SITE, "--set=runtime.allowedImages={a b}", "runtime/allowedImages"),
        ("skerry-site", SITE, "--set=events.mqtt.url=tcp://broker", "events/mqtt/url"),
        (
            "skerry-site",
            SITE,
            '--set-json=events.producers=[{"name":"a","token":"short","streams":[]}]',
            "events/producers",
        ),
        ("skerry-site", SITE, '--set-json=events.devices={"a":{"revision":"x"}}', "propertyName 'revision'"),
        ("skerry-site", SITE, '--set-json=events.devices={"a":{"x":{"y":{}}}}', "events/devices"),
        ("skerry-site", SITE, "--set=events.devicesAsOf=yesterday", "events/devicesAsOf"),
        ("skerry-site", SITE, "--set=telemetry.otlp.endpoint=collector:4317", "telemetry/otlp/endpoint"),
        ("skerry-site", SITE, "--set=site.name=", "site.name"),
        ("skerry-site", SITE, "--set=trust.hubPublicKey=", "--set-file trust.hubPublicKey"),
    ],
)
def test_wrong_values_are_refused_by_name(spare, chart, values, wrong, told):
    with pytest.raises(LabError, match=told):
        spare.helm("template", chart, str(CHARTS / chart), *values, wrong)


def test_nothing_that_the_runtime_needs_goes_with_the_site_release(render):
    documents = render("skerry-site", *SITE)
    of_runtime = [
        document
        for document in documents
        if document["metadata"].get("namespace") == "skerry-runtime"
        or document["metadata"]["name"].startswith("skerry-runtime")
        if document["metadata"]["name"] != "skerry-site"  # the operator's own rights there
    ]
    assert len(of_runtime) >= 10
    kept = [
        document
        for document in of_runtime
        if document["metadata"].get("annotations", {}).get("helm.sh/resource-policy") == "keep"
    ]
    assert kept == of_runtime


@pytest.mark.parametrize(("chart", "values"), BOTH)
def test_an_operator_is_one_process_that_is_never_doubled(render, chart, values):
    (deployment,) = of_kind(render(chart, *values), "Deployment")
    assert deployment["spec"]["replicas"] == 1
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    for container in deployment["spec"]["template"]["spec"]["containers"]:
        assert container["resources"]["requests"]["memory"]
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize(
    ("values", "allowed"),
    [
        ((), ["skerry-edge:", "skerry-edge@"]),
        (
            ("--set=global.imageRegistry=mirror.example.test:5000/skerry/",),
            ["mirror.example.test:5000/skerry/skerry-edge:", "mirror.example.test:5000/skerry/skerry-edge@"],
        ),
        (("--set=runtime.allowedImages={a.example/edge:1,b.example/}",), ["a.example/edge:1", "b.example/"]),
    ],
)
def test_admission_and_operator_are_told_the_same_images(render, values, allowed):
    documents = render("skerry-site", *SITE, *values)
    (policy,) = (p for p in of_kind(documents, "ValidatingAdmissionPolicy") if "pods" in p["metadata"]["name"])
    variables = {variable["name"]: variable["expression"] for variable in policy["spec"]["variables"]}
    assert json.loads(variables["allowedImages"]) == allowed
    (deployment,) = of_kind(documents, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    environment = {entry["name"]: entry.get("value") for entry in container["env"]}
    assert environment["SKERRY_ALLOWED_IMAGES"].split() == allowed


def test_the_broker_is_a_secret_unless_somebody_else_makes_it(render):
    told = (
        "--set=events.mqtt.url=mqtts://broker:8883",
        "--set=events.mqtt.username=node",
        "--set=events.mqtt.password=p",
    )
    (secret,) = (s for s in of_kind(render("skerry-site", *SITE, *told), "Secret") if s["metadata"]["name"] == MQTT)
    assert secret["metadata"]["namespace"] == "skerry-runtime"
    assert secret["stringData"] == {
        "url": "mqtts://broker:8883",
        "shared": "false",
        "username": "node",
        "password": "p",
    }
    others = of_kind(render("skerry-site", *SITE, "--set=events.mqtt.create=false"), "Secret")
    assert MQTT not in {s["metadata"]["name"] for s in others}


def test_producers_are_a_secret_that_nodes_can_read(render):
    assert PRODUCERS not in {s["metadata"]["name"] for s in of_kind(render("skerry-site", *SITE), "Secret")}
    told = [{"name": "desk", "token": "0123456789abcdefghij", "streams": ["consent"]}]
    values = (f"--set-json=events.producers={json.dumps(told)}", "--set=events.anonymous={readings}")
    (secret,) = (
        s for s in of_kind(render("skerry-site", *SITE, *values), "Secret") if s["metadata"]["name"] == PRODUCERS
    )
    assert secret["metadata"]["namespace"] == "skerry-runtime"
    producers = read_producers(secret["stringData"]["producers.json"].encode())
    producers.admit("consent", "Bearer 0123456789abcdefghij")
    producers.admit("readings", None)


def test_devices_are_a_config_map_that_nodes_can_read(render):
    def found(*values):
        documents = of_kind(render("skerry-site", *SITE, *values), "ConfigMap")
        return [each for each in documents if each["metadata"]["name"] == DEVICES]

    assert found() == []
    told = {"press-7": {"model": "X1", "gain": 1.02, "runs": 1000000, "spare": False, "units": {"rms": "m/s"}}}
    (made,) = found(f"--set-json=events.devices={json.dumps(told)}")
    assert made["metadata"]["namespace"] == "skerry-runtime"
    devices = read_devices(made["data"]["devices.json"].encode())
    assert devices == read_devices(json.dumps({"devices": told}).encode())
    checked = {"asOf": "2026-11-28T06:00:00Z", "devices": told}
    (made,) = found(f"--set-json=events.devices={json.dumps(told)}", f"--set=events.devicesAsOf={checked['asOf']}")
    assert read_devices(made["data"]["devices.json"].encode()) == read_devices(json.dumps(checked).encode())


def test_a_receiver_of_metrics_is_a_secret_where_one_is_named(render):
    def found(*values):
        documents = of_kind(render("skerry-site", *SITE, *values), "Secret")
        return [secret["stringData"] for secret in documents if secret["metadata"]["name"] == OTLP]

    endpoint = "--set=telemetry.otlp.endpoint=http://collector.monitoring:4318"
    assert found() == []
    assert found(endpoint, "--set=telemetry.otlp.create=false") == []
    assert found(endpoint, "--set=telemetry.otlp.headers=authorization=Bearer abc") == [
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector.monitoring:4318",
            "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer abc",
        }
    ]


def test_producers_of_events_are_let_in_as_asked(render):
    def rule(*values):
        policies = of_kind(render("skerry-site", *SITE, *values), "NetworkPolicy")
        (policy,) = (p for p in policies if p["metadata"]["name"] == "skerry-runtime")
        return next(rule for rule in policy["spec"]["ingress"] if rule["ports"][0]["port"] == "events")

    assert "from" not in rule()
    peers = [{"namespaceSelector": {"matchLabels": {"team": "plant"}}}]
    assert rule(f"--set-json=networkPolicy.eventsFrom={json.dumps(peers)}")["from"] == peers
