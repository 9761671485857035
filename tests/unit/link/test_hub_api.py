"""The Kubernetes adapter over an in-memory API server; `tests/integration/site` runs the same suite over a real one."""

import base64

import pytest

from skerry_api.v1alpha1.siteassignment import SiteAssignmentStatus
from skerry_core.errors import WaitError
from skerry_operator.kube.memory import MemoryKube
from skerry_operator.kube.resources import SECRETS, SITE_ASSIGNMENTS
from skerry_operator.link.hub_api import HubApiLink, hub_namespace
from tests.unit.link.conformance import LinkConformance

NAMESPACE = hub_namespace("site-a")


class KubeEnd:
    """The hub's side, written the way the hub operator writes it."""

    def __init__(self, kube):
        self.kube = kube

    def offer(self, assignment):
        metadata = {"name": "current", "namespace": NAMESPACE}
        self.kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "spec": assignment.to_wire()})

    def grant(self, content):
        metadata = {"name": "store-grant", "namespace": NAMESPACE}
        data = {"grant.json": base64.b64encode(content).decode()}
        self.kube.apply(SECRETS, {"metadata": metadata, "data": data})

    def reported(self):
        found = self.kube.get(SITE_ASSIGNMENTS, "current", NAMESPACE)
        return SiteAssignmentStatus.model_validate(found["status"]) if found else None


class TestHubApiLink(LinkConformance):
    @pytest.fixture
    def hub_end(self):
        return KubeEnd(MemoryKube())

    @pytest.fixture
    def link(self, hub_end):
        return HubApiLink(hub_end.kube, "site-a", watch_seconds=(0.1, 0.1))

    def test_a_malformed_assignment_is_waited_out(self, hub_end, link):
        metadata = {"name": "current", "namespace": NAMESPACE}
        hub_end.kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "spec": {"serial": "one"}})
        with pytest.raises(WaitError) as caught:
            link.latest()
        assert caught.value.reason == "AssignmentMalformed"
