"""A site by its chart on a real cluster: enrolled, linked, running the runtime, and held to what it may do."""

import copy
import json

import pytest

from skerry_api.v1alpha1.siteassignment import Serial
from skerry_core.assignment.document import RuntimeTemplate
from skerry_operator.site.runtime_pod import daemon_set
from tests.cluster.lab.waiting import wait_for
from tests.integration.charts.conftest import RUNTIME, SYSTEM
from tests.unit.trust.documents import assignment

pytestmark = pytest.mark.lab


def document(site, images, n=1):
    base = assignment(site=site.hub.site, serial=(1, n), models=())
    template = RuntimeTemplate(image=images["edge"], resources=base.runtime.resources)
    return base.model_copy(update={"runtime": template, "serial": Serial(incarnation=1, n=n)})


@pytest.fixture(scope="module")
def linked(site, images):
    """The site after its first assignment came down."""
    site.hub.assign(document(site, images), site.hub_key.private_pem)
    site.hub.grant(b"{}")
    wait_for("the site asks to be let in", lambda: bool(site.hub.waiting_requests()), seconds=60)
    site.hub.approve()
    wait_for("the assignment is mirrored", lambda: bool(site.get("siteassignments", "current")), seconds=60)
    wait_for("the runtime is scheduled", lambda: bool(site.get("daemonset", RUNTIME)), seconds=30)
    return site


def pod(linked, **changes):
    """The runtime's own pod, as the DaemonSet controller would make it, changed."""
    template = copy.deepcopy(linked.get("daemonset", RUNTIME)["spec"]["template"])
    template["spec"].update(changes)
    metadata = {"name": "probe", "namespace": RUNTIME, "labels": template["metadata"]["labels"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def with_container(linked, **changes):
    body = pod(linked)
    body["spec"]["containers"][0].update(changes)
    return body


def with_init_container(linked, **changes):
    body = pod(linked)
    body["spec"]["initContainers"][0].update(changes)
    return body


def with_security(linked, **changes):
    body = pod(linked)
    body["spec"]["containers"][0]["securityContext"].update(changes)
    return body


def test_the_runtimes_own_pod_is_admitted(linked):
    assert linked.refusal(pod(linked)) == ""
    wait_for(
        "its pod is made", lambda: linked.get("daemonset", RUNTIME)["status"]["currentNumberScheduled"] == 1, seconds=30
    )


def _with_sysctl(site):
    context = pod(site)["spec"]["securityContext"]
    return context | {"sysctls": [{"name": "net.ipv4.ip_local_port_range", "value": "1024 65535"}]}


def _with_selinux_type(site, name):
    return pod(site)["spec"]["securityContext"] | {"seLinuxOptions": {"type": name}}


def with_host_path(site, path):
    body = pod(site)
    (volume,) = (each for each in body["spec"]["volumes"] if each["name"] == "store")
    volume["hostPath"] = {"path": path}
    return body


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (lambda site: with_host_path(site, "/etc"), "hostPath is allowed below /var/lib/skerry only"),
        (lambda site: with_host_path(site, "/var/lib/skerry-other"), "hostPath is allowed"),
        (lambda site: with_host_path(site, "/var/lib/skerry/../kubelet"), "must not contain '..'"),
        (lambda site: with_host_path(site, "/"), "hostPath is allowed"),
        (lambda site: pod(site, hostNetwork=True), "hostNetwork"),
        (lambda site: pod(site, hostPID=True), "hostPID"),
        (lambda site: pod(site, hostIPC=True), "hostIPC"),
        (lambda site: pod(site, securityContext={}), "run as a user other than root"),
        (
            lambda site: pod(site, securityContext={"runAsNonRoot": True, "runAsUser": 65532}),
            "seccomp profile is RuntimeDefault",
        ),
        (lambda site: with_container(site, ports=[{"containerPort": 1, "hostPort": 1}]), "hostPort"),
        (lambda site: with_container(site, securityContext={}), "drops ALL"),
        (lambda site: with_container(site, image="evil.example/miner:1"), "runtime.allowedImages"),
        (lambda site: with_container(site, image="skerry-edge:5000/miner"), "runtime.allowedImages"),
        (lambda site: with_init_container(site, image="evil.example/miner:1"), "runtime.allowedImages"),
        (lambda site: with_security(site, privileged=True, allowPrivilegeEscalation=True), "not privileged"),
        (lambda site: with_security(site, runAsUser=0), "other than root"),
        (lambda site: with_security(site, capabilities={"drop": ["ALL"], "add": ["CHOWN"]}), "no capabilities"),
        (lambda site: with_security(site, seccompProfile={"type": "Unconfined"}), "seccomp"),
        (lambda site: pod(site, securityContext=_with_sysctl(site)), "sysctls"),
        (lambda site: with_security(site, seLinuxOptions={"type": "spc_t"}), "SELinux"),
        (lambda site: with_security(site, seLinuxOptions={"user": "sysadm_u"}), "SELinux"),
        (lambda site: with_security(site, seLinuxOptions={"role": "sysadm_r"}), "SELinux"),
        (lambda site: pod(site, securityContext=_with_selinux_type(site, "spc_t")), "SELinux"),
    ],
)
def test_the_exempt_namespace_takes_nothing_more(linked, body, told):
    assert told in linked.refusal(body(linked))


@pytest.mark.parametrize("policy", ["skerry-runtime-pods", "skerry-runtime-node"])
def test_the_policies_pass_kubernetes_own_type_check(linked, policy):
    checked = ("validatingadmissionpolicy", policy)
    wait_for("the type check", lambda: "typeChecking" in linked.get(*checked).get("status", {}), seconds=30)
    assert not linked.get(*checked)["status"]["typeChecking"].get("expressionWarnings")


def test_the_runtime_comes_up(linked):
    def ready():
        return linked.get("daemonset", RUNTIME)["status"].get("numberReady") == 1

    wait_for("both containers are ready", ready, seconds=90)


def test_the_init_container_may_not_get_more_than_it_needs(linked):
    body = pod(linked)
    body["spec"]["initContainers"][0]["securityContext"]["capabilities"]["add"].append("SYS_ADMIN")
    assert "CHOWN, DAC_OVERRIDE and FOWNER only" in linked.refusal(body)


def test_no_other_init_container_may_be_root(linked):
    body = pod(linked)
    body["spec"]["initContainers"][0]["name"] = "other"
    assert "no capabilities" in linked.refusal(body) or "other than root" in linked.refusal(body)


def node_object(name):
    kind = {"apiVersion": "skerry.dev/v1alpha1", "kind": "RuntimeNode"}
    return {**kind, "metadata": {"name": name}, "spec": {"nodeName": name}}


def test_a_runtime_writes_its_own_node_and_no_other(linked):
    pods = json.loads(linked.cluster.kubectl("get", "pods", f"--namespace={RUNTIME}", "-o", "json").stdout)["items"]
    name, node = pods[0]["metadata"]["name"], pods[0]["spec"]["nodeName"]
    bound = ("--bound-object-kind=Pod", f"--bound-object-name={name}")
    token = linked.cluster.kubectl("create", "token", RUNTIME, f"--namespace={RUNTIME}", *bound).stdout.strip()
    unbound = linked.cluster.kubectl("create", "token", RUNTIME, f"--namespace={RUNTIME}").stdout.strip()

    def refused(body, bearer):
        # A token replaces the kubeconfig's client certificate only where there is none.
        arguments = ("create", "--dry-run=server", "--kubeconfig=/dev/null", f"--server={linked.cluster.api_url}")
        arguments += ("--insecure-skip-tls-verify", f"--token={bearer}", "-f", "-")
        done = linked.cluster.kubectl(*arguments, input=json.dumps(body), check=False)
        return done.stderr

    wait_for("sync writes its node", lambda: bool(linked.get("runtimenode", node)), seconds=60)
    assert "already exists" in refused(node_object(node), token)  # past admission, that is
    for name, bearer in [("another", token), (node, unbound)]:
        assert "RuntimeNode of its own node only" in refused(node_object(name), bearer)


def test_the_report_reaches_the_hub(linked):
    wait_for("the hub has the report", lambda: linked.hub.reported().reported_at is not None, seconds=60)
    report = linked.hub.reported()
    assert report.observed_serial.n >= 1
    assert {condition.type for condition in report.conditions} >= {"Ready", "HubReachable"}
    assert report.site_version


def _observed(linked):
    serial = linked.hub.reported().observed_serial
    return serial.n if serial is not None else None


def test_a_new_assignment_of_the_same_runtime_leaves_the_daemonset_as_it_is(linked, images):
    before = linked.get("daemonset", RUNTIME)["metadata"]["generation"]
    linked.hub.assign(document(linked, images, n=2), linked.hub_key.private_pem)
    wait_for(
        "the newer serial is mirrored",
        lambda: linked.get("siteassignments", "current")["spec"]["serial"]["n"] == 2,
        seconds=30,
    )
    wait_for("and observed", lambda: _observed(linked) == 2, seconds=30)
    assert linked.get("daemonset", RUNTIME)["metadata"]["generation"] == before
    assert "ownerReferences" not in linked.get("daemonset", RUNTIME)["metadata"]


def test_the_applied_daemonset_is_the_pure_functions(linked, images):
    wanted = daemon_set(document(linked, images))["spec"]["template"]["spec"]
    found = linked.get("daemonset", RUNTIME)["spec"]["template"]["spec"]
    assert [c["image"] for c in found["containers"]] == [c["image"] for c in wanted["containers"]]
    assert found["priorityClassName"] == RUNTIME


def test_nothing_at_the_site_has_a_finalizer_of_ours(linked):
    assert "finalizers" not in linked.get("siteassignments", "current")["metadata"]


def test_helms_own_test_passes(linked):
    done = linked.cluster.helm("test", "skerry-site", f"--namespace={SYSTEM}", "--timeout=90s")
    assert "Succeeded" in done.stdout


def test_the_operator_stays_within_its_budget(linked):
    with linked.cluster.sampled_working_sets():
        wait_for("another heartbeat", _newer_report(linked), seconds=60)
    sizes = {pod: size for (pod, name), size in linked.cluster.working_sets().items() if name == "site"}
    assert sizes
    assert max(sizes.values()) <= 120 * 2**20


def _newer_report(linked):
    before = linked.hub.reported().reported_at
    return lambda: linked.hub.reported().reported_at > before


def test_uninstalling_the_operator_leaves_the_runtime(linked):
    uid = linked.get("daemonset", RUNTIME)["metadata"]["uid"]
    linked.cluster.helm("uninstall", "skerry-site", f"--namespace={SYSTEM}", "--wait", "--timeout=2m")
    assert linked.get("daemonset", RUNTIME)["metadata"]["uid"] == uid
    for kind in ("serviceaccount", "role", "rolebinding"):
        assert linked.get(kind, RUNTIME)
    assert linked.get("configmap", "skerry-trust")
    assert "hostPath" in linked.refusal(with_host_path(linked, "/etc"))
