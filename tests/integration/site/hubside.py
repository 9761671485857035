"""The hub's side of a site, done by hand: what the hub operator does to let a site in and to tell it what to do."""

import base64
import secrets
from dataclasses import dataclass

from kubernetes.client import Configuration
from kubernetes.config import load_kube_config

from skerry_api.v1alpha1.siteassignment import SiteAssignmentSpec, SiteAssignmentStatus
from skerry_core.assignment.document import AssignmentDocument
from skerry_core.trust.assignment import seal_assignment
from skerry_operator.kube.resources import (
    NAMESPACES,
    ROLE_BINDINGS,
    SECRETS,
    SIGNING_REQUESTS,
    SITE_ASSIGNMENTS,
)
from skerry_operator.kube.rest import RestKube
from skerry_operator.link.hub_api import hub_namespace
from tests.cluster.lab import Cluster
from tests.integration.charts.rendering import CHARTS, HUB


def admin(cluster: Cluster) -> RestKube:
    configuration = Configuration()
    load_kube_config(str(cluster.kubeconfig), client_configuration=configuration)
    return RestKube(configuration)


def install_hub_side(hub: Cluster) -> Cluster:
    """The CRD and the two roles that the hub's chart brings, and nothing else of it."""
    crd = str(CHARTS.parent / "crds" / "siteassignments.yaml")
    hub.kubectl("apply", "--server-side", "--force-conflicts", "-f", crd)
    hub.kubectl("wait", "--for=condition=Established", "crd/siteassignments.skerry.dev", "--timeout=30s")
    rendered = hub.helm("template", "skerry", str(CHARTS / "skerry-hub"), *HUB, "--show-only=templates/enrollment.yaml")
    hub.kubectl("apply", "--server-side", "--force-conflicts", "-f", "-", input=rendered.stdout)
    return hub


@dataclass
class HubSide:
    """One site's place at the hub."""

    kube: RestKube
    cluster: Cluster
    site: str

    @property
    def namespace(self) -> str:
        return hub_namespace(self.site)

    def make_room(self) -> None:
        self.kube.apply(NAMESPACES, {"metadata": {"name": self.namespace}})
        self.kube.apply(
            ROLE_BINDINGS,
            {
                "metadata": {"name": "skerry-site", "namespace": self.namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "skerry-site"},
                "subjects": [
                    {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": f"skerry:site:{self.site}"}
                ],
            },
        )

    def bootstrap_token(self) -> str:
        """A new token of this site, as `kubeadm token create --groups` would make it."""
        name, secret = secrets.token_hex(3), secrets.token_hex(8)
        data = {
            "token-id": name,
            "token-secret": secret,
            "usage-bootstrap-authentication": "true",
            "auth-extra-groups": f"system:bootstrappers:skerry:{self.site}",
        }
        self.kube.create(
            SECRETS,
            {
                "metadata": {"name": f"bootstrap-token-{name}", "namespace": "kube-system"},
                "type": "bootstrap.kubernetes.io/token",
                "stringData": data,
            },
        )
        return f"{name}.{secret}"

    def waiting_requests(self) -> list[str]:
        return [
            request["metadata"]["name"]
            for request in self.kube.list(SIGNING_REQUESTS).items
            if request["metadata"]["name"].startswith(f"skerry-{self.site}-")
            and not (request.get("status") or {}).get("conditions")
        ]

    def approve(self) -> None:
        for name in self.waiting_requests():
            self.cluster.kubectl("certificate", "approve", name)

    def offer(self, assignment: SiteAssignmentSpec) -> None:
        metadata = {"name": "current", "namespace": self.namespace}
        self.kube.apply(SITE_ASSIGNMENTS, {"metadata": metadata, "spec": assignment.to_wire()})

    def assign(self, document: AssignmentDocument, hub_key: bytes) -> None:
        self.offer(SiteAssignmentSpec(envelope=seal_assignment(document, hub_key), serial=document.serial))

    def grant(self, content: bytes) -> None:
        metadata = {"name": "store-grant", "namespace": self.namespace}
        data = {"grant.json": base64.b64encode(content).decode()}
        self.kube.apply(SECRETS, {"metadata": metadata, "data": data})

    def reported(self) -> SiteAssignmentStatus | None:
        found = self.kube.get(SITE_ASSIGNMENTS, "current", self.namespace) or {}
        return SiteAssignmentStatus.model_validate(found["status"]) if "status" in found else None

    def leave(self) -> None:
        self.kube.delete(NAMESPACES, self.namespace)
        for item in self.kube.list(SECRETS, "kube-system").items:
            groups = base64.b64decode((item.get("data") or {}).get("auth-extra-groups", "")).decode()
            if groups.endswith(f":{self.site}"):
                self.kube.delete(SECRETS, item["metadata"]["name"], "kube-system")
        for item in self.kube.list(SIGNING_REQUESTS).items:
            if item["metadata"]["name"].startswith(f"skerry-{self.site}-"):
                self.kube.delete(SIGNING_REQUESTS, item["metadata"]["name"])
