import base64
from datetime import timedelta

import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.siteassignment import ModelPhase, SiteAssignmentStatus
from skerry_core.errors import WaitError
from skerry_core.trust.assignment import seal_assignment
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import DAEMON_SETS, PODS, RUNTIME_NODES, SECRETS, SERVICES, SITE_ASSIGNMENTS
from skerry_operator.link.health import LinkHealth
from skerry_operator.link.outbox import Outbox
from skerry_operator.site.observer import Observer
from skerry_operator.site.runtime import Runtime
from skerry_operator.site.scrape import Scrape
from tests.unit.link.test_mirror import HUB, THIEF
from tests.unit.site.nodes import NOW, TARGET, never_fails, report, rolled_back
from tests.unit.trust.documents import assignment, model_assignment

NAMESPACE = "skerry-runtime"
ALLOWED = ("skerry-edge:",)


class Flaky(MemoryKube):
    down = False

    def get(self, *args, **kwargs):
        if self.down:
            raise WaitError("ApiUnavailable", "no route")
        return super().get(*args, **kwargs)

    def list(self, *args, **kwargs):
        if self.down:
            raise WaitError("ApiUnavailable", "no route")
        return super().list(*args, **kwargs)


class Pods:
    """Answers of runtime pods, by address."""

    def __init__(self):
        self.answers = {}

    def scrape_all(self, addresses):
        return {address: self.answers[address] for address in addresses if address in self.answers}


@pytest.fixture
def kube():
    return Flaky()


@pytest.fixture
def pods():
    return Pods()


@pytest.fixture
def outbox():
    return Outbox()


@pytest.fixture
def observer(kube, pods, outbox):
    runtime = Runtime(kube, site="site-a", hub_key=HUB.public_pem, allowed_images=ALLOWED)
    return Observer(kube, runtime, pods, outbox, LinkHealth(), site="site-a", version="0.1.0", judge=never_fails)


def mirror(kube, n=1, key=HUB, image=None):
    document = assignment(serial=(1, n), models=(model_assignment(),))
    template = document.runtime.model_copy(update={"image": image or document.runtime.image})
    document = document.model_copy(update={"runtime": template})
    metadata = {"name": "current", "namespace": NAMESPACE}
    envelope = seal_assignment(document, key.private_pem)
    spec = {"envelope": envelope, "serial": {"incarnation": 1, "n": n}}
    kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "spec": spec})


def run_pod(kube, address="10.0.0.1", node="node-1"):
    metadata = {"name": f"skerry-runtime-{node}", "namespace": NAMESPACE}
    metadata["labels"] = {"app.kubernetes.io/name": "skerry-runtime"}
    body = {"metadata": metadata, "spec": {"nodeName": node}}
    kube.create(PODS, body)
    status = {"podIP": address, "conditions": [{"type": "Ready", "status": "True"}]}
    kube.replace(PODS, body | {"status": status}, "status")


def status(kube):
    return SiteAssignmentStatus.model_validate(kube.get(SITE_ASSIGNMENTS, "current", NAMESPACE).get("status") or {})


def test_the_sites_salt_is_made_once_and_never_replaced(kube, observer):
    mirror(kube)
    observer.observe(NOW)
    made = kube.get(SECRETS, "skerry-salt", NAMESPACE)["data"]["salt"]
    assert len(base64.b64decode(made)) == 32
    again = Runtime(kube, site="site-a", hub_key=HUB.public_pem, allowed_images=ALLOWED)
    again.apply(again.open(kube.get(SITE_ASSIGNMENTS, "current", NAMESPACE)["spec"]))
    assert kube.get(SECRETS, "skerry-salt", NAMESPACE)["data"]["salt"] == made


def test_without_an_assignment_there_is_nothing_to_do(kube, observer):
    assert observer.observe(NOW) is None
    assert kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE) is None


def test_the_runtime_is_applied_and_what_pods_say_is_written_and_sent(kube, pods, outbox, observer):
    mirror(kube)
    run_pod(kube)
    pods.answers["10.0.0.1"] = Scrape((report(),), ())
    observer.observe(NOW)
    assert kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE)["spec"]["template"]
    assert kube.get(SERVICES, "skerry-inference", NAMESPACE)
    assert status(kube).models[0].phase is ModelPhase.SERVING
    assert outbox.take(0).models[0].serving_digest == TARGET


def test_a_pod_that_does_not_answer_is_known_by_what_its_node_wrote(kube, observer):
    mirror(kube)
    run_pod(kube)
    node = {"metadata": {"name": "node-1"}, "spec": {"nodeName": "node-1"}}
    kube.create(RUNTIME_NODES, node)
    kube.replace(RUNTIME_NODES, node | {"status": {"models": [report().to_wire()], "queueDepth": 1000}}, "status")
    seen = observer.observe(NOW)
    assert seen.models[0].serving_digest == TARGET
    assert seen.queue_depth == 1000


def test_a_forged_mirror_stalls_and_leaves_runtime_and_report_as_they_are(kube, pods, observer):
    mirror(kube)
    run_pod(kube)
    pods.answers["10.0.0.1"] = Scrape((report(),), ())
    observer.observe(NOW)
    running = kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE)
    mirror(kube, n=2, key=THIEF)
    seen = observer.observe(NOW + timedelta(minutes=5))
    assert find(seen.conditions, "Stalled").reason == "EnvelopeInvalid"
    assert seen.models[0].serving_digest == TARGET
    assert seen.observed_serial.n == 1
    assert kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE) == running


def test_an_image_that_the_site_does_not_allow_never_replaces_the_runtime(kube, pods, observer):
    mirror(kube)
    run_pod(kube)
    pods.answers["10.0.0.1"] = Scrape((report(),), ())
    observer.observe(NOW)
    running = kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE)
    mirror(kube, n=2, image="evil.example/miner:1")
    observer.observe(NOW + timedelta(minutes=5))
    assert kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE) == running
    stalled = find(status(kube).conditions, "Stalled")
    assert stalled.reason == "ImageNotAllowed"
    assert "evil.example/miner:1" in stalled.message
    assert status(kube).models[0].serving_digest == TARGET
    mirror(kube, n=3)
    observer.observe(NOW + timedelta(minutes=6))
    assert find(status(kube).conditions, "Stalled") is None


def test_a_deleted_mirror_deletes_nothing_and_forgets_no_verdict(kube, pods, observer):
    mirror(kube)
    run_pod(kube)
    (told,) = rolled_back("node-1").reports
    pods.answers["10.0.0.1"] = Scrape((told,), ())
    observer.observe(NOW)
    kube.delete(SITE_ASSIGNMENTS, "current", NAMESPACE)
    observer.observe(NOW + timedelta(minutes=2))
    assert kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE)
    mirror(kube)
    pods.answers["10.0.0.1"] = Scrape((report(),), ())
    observer.observe(NOW + timedelta(minutes=3))
    assert status(kube).models[0].quarantined == (TARGET,)


def test_a_restarted_operator_remembers_verdicts_by_the_mirrors_status(kube, pods, outbox, observer):
    mirror(kube)
    run_pod(kube)
    pods.answers["10.0.0.1"] = Scrape(rolled_back("node-1").reports, ())
    observer.observe(NOW)
    pods.answers["10.0.0.1"] = Scrape((report(),), ())
    runtime = Runtime(kube, site="site-a", hub_key=HUB.public_pem, allowed_images=ALLOWED)
    again = Observer(kube, runtime, pods, Outbox(), LinkHealth(), site="site-a", version="0.1.0", judge=never_fails)
    assert again.observe(NOW).models[0].quarantined == (TARGET,)


def test_a_local_api_server_that_is_away_does_not_stop_observation(kube, pods, outbox, observer):
    mirror(kube)
    run_pod(kube)
    pods.answers["10.0.0.1"] = Scrape((report(ModelPhase.CANARY),), ())
    observer.observe(NOW)
    kube.down = True
    pods.answers["10.0.0.1"] = Scrape((report(),), ())
    observer.observe(NOW + timedelta(seconds=3))
    assert outbox.take(0).models[0].phase is ModelPhase.SERVING


def test_counters_alone_are_written_seldom(kube, pods, observer):
    mirror(kube)
    run_pod(kube)
    for seconds, requests in ((0, 1), (3, 2), (27, 3), (31, 4)):
        pods.answers["10.0.0.1"] = Scrape((report(requests=requests),), ())
        observer.observe(NOW + timedelta(seconds=seconds))
        assert status(kube).models[0].requests == (4 if seconds == 31 else 1)


def test_a_daemonset_edited_by_hand_is_put_right(kube, observer):
    mirror(kube)
    observer.observe(NOW)
    good = kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE)["spec"]
    edit = {"spec": {"template": {"spec": {"priorityClassName": "low"}}}}
    kube.patch(DAEMON_SETS, "skerry-runtime", NAMESPACE, edit)
    observer.observe(NOW + timedelta(minutes=2))
    assert kube.get(DAEMON_SETS, "skerry-runtime", NAMESPACE)["spec"] == good
