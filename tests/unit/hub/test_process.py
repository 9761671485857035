"""The hub's patrol, and what tells that it doesn't get anywhere."""

import asyncio
import threading

import kopf
import pytest

from skerry_api.conditions import find
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_core.errors import WaitError
from skerry_core.trust.policy import PolicyDocument
from skerry_operator.hub import handlers
from skerry_operator.hub import process as process_module
from skerry_operator.hub.config import HubConfig
from skerry_operator.hub.hub import ActivePolicy
from skerry_operator.hub.inventory import WATCHED
from skerry_operator.hub.process import HubProcess
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import EDGE_SITES, SITE_CLASSES, SYNC_POLICIES
from tests.cluster.lab.waiting import wait_for
from tests.sigstore_instance.fixtures import sigstore
from tests.unit.hub.a_hub import HUB_KEY, NOW, POLICY_KEY

__all__ = ["sigstore"]


class Failing(MemoryKube):
    """Its first answers are these errors."""

    def __init__(self, *errors):
        super().__init__()
        self.errors = list(errors)

    def list(self, *args, **kwargs):
        if self.errors:
            raise self.errors.pop(0)
        return super().list(*args, **kwargs)


@pytest.fixture
def process(sigstore, tmp_path):
    def make(*errors):
        config = HubConfig(
            store_uri=f"file://{tmp_path}",
            access=None,
            public_endpoint="",
            trusted_root=sigstore.trusted_root_json,
            policy_key=POLICY_KEY.public_pem,
            hub_key=HUB_KEY.private_pem,
        )
        return HubProcess(config, Failing(*errors), lambda: NOW)

    return make


class Stop(threading.Event):
    """Skips the patrol's pauses until it is set."""

    def wait(self, timeout=None):
        return super().wait(0 if timeout is not None and timeout < 60 else timeout)


def probe(process):
    return asyncio.run(handlers.liveness(process)())


@pytest.mark.slow
@pytest.mark.parametrize("error", [WaitError("ApiUnavailable", "no route"), KeyError("metadata")])
def test_the_patrol_survives_any_failure_and_starts_the_workers_then(process, error):
    hub, stop = process(error, error), Stop()
    with pytest.raises(kopf.PermanentError, match="workers"):
        probe(hub)
    patrol = threading.Thread(target=hub.run, args=(stop,), daemon=True)
    patrol.start()
    wait_for("the workers", lambda: hub.queue.works, seconds=10)
    assert probe(hub) == "run"
    assert patrol.is_alive()
    stop.set()
    patrol.join(10)
    assert not patrol.is_alive()
    wait_for("the workers end", lambda: not hub.queue.works, seconds=10)
    with pytest.raises(kopf.PermanentError):
        probe(hub)


@pytest.mark.slow
def test_a_store_that_is_away_has_the_hubs_objects_listed_once(process, monkeypatch):
    """Every listing has everything looked at again: a fleet's worth of work every few seconds, and nothing is new."""
    hub, stop, tries, lists = process(), Stop(), [], []

    def recall(_hub):
        tries.append("")
        if len(tries) < 5:
            raise WaitError("StoreUnavailable", "no route")

    read = hub.hub.kube.list
    monkeypatch.setattr(process_module, "recall", recall)
    monkeypatch.setattr(hub.hub.kube, "list", lambda resource, *more: lists.append(resource) or read(resource, *more))
    patrol = threading.Thread(target=hub.run, args=(stop,), daemon=True)
    patrol.start()
    wait_for("the store", lambda: len(tries) == 5, seconds=10)
    stop.set()
    patrol.join(10)
    assert lists == list(WATCHED)


def test_a_sync_policy_that_goes_leaves_its_sites_to_the_next_one(process):
    hub = process()
    kube, inventory = hub.hub.kube, hub.hub.inventory
    hub.hub.trust.active = ActivePolicy(PolicyDocument(serial=1, issued_at=NOW, bindings=()), "sha256:" + "5" * 64)

    def put(resource, name, spec, **metadata):
        body = {"metadata": {"name": name, **metadata}, "spec": spec}
        hub.observe(resource, "MODIFIED", kube.apply(resource, body))
        while hub.queue.run_due():
            pass

    def ready(name):
        return find(inventory.get(SyncPolicy, name, "ops").status.conditions, "Ready").status

    def told():
        return inventory.record("site-a").document.sync_policy

    put(SITE_CLASSES, "lab", {"image": "skerry-edge:0.1.0"})
    put(EDGE_SITES, "site-a", {"siteClassName": "lab", "hubAcceptsClient": True})
    put(SYNC_POLICIES, "first", {}, namespace="ops")
    put(SYNC_POLICIES, "second", {"downloads": {"onMetered": "Hold"}}, namespace="ops")
    first, second = (inventory.get(SyncPolicy, name, "ops") for name in ("first", "second"))
    assert (ready("first"), ready("second")) == ("True", "False")
    assert told() == first.status.digest
    hub.observe(SYNC_POLICIES, "DELETED", kube.get(SYNC_POLICIES, "first", "ops"))
    while hub.queue.run_due():
        pass
    assert ready("second") == "True"
    assert told() == second.status.digest
