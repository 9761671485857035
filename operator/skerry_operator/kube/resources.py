"""The kinds that the operators read and write, and where the API server keeps them."""

from dataclasses import dataclass

from skerry_api.v1alpha1.fields import GROUP, VERSION


@dataclass(frozen=True)
class Resource:
    """One kind: enough to build its REST paths. `group` is empty for the core group."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str = "") -> str:
        """The REST path of one object, or of the collection without `name`; no namespace means all of them.

        Raises ValueError for a namespace given to a cluster-scoped kind, or a named object without one.
        """
        if namespace and not self.namespaced:
            raise ValueError(f"{self.kind} is cluster-scoped")
        if name and self.namespaced and not namespace:
            raise ValueError(f"{self.kind} {name} needs a namespace")
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        parts += ["namespaces", namespace] if namespace else []
        parts += [self.plural, *filter(None, (name, subresource))]
        return "/".join(parts)


def _skerry(plural: str, kind: str, *, namespaced: bool) -> Resource:
    return Resource(GROUP, VERSION, plural, kind, namespaced)


MODELS = _skerry("models", "Model", namespaced=True)
MODEL_RELEASES = _skerry("modelreleases", "ModelRelease", namespaced=True)
ROLLOUT_RINGS = _skerry("rolloutrings", "RolloutRing", namespaced=False)
FEATURE_SETS = _skerry("featuresets", "FeatureSet", namespaced=True)
SYNC_POLICIES = _skerry("syncpolicies", "SyncPolicy", namespaced=True)
TRUST_POLICIES = _skerry("trustpolicies", "TrustPolicy", namespaced=False)
QUARANTINES = _skerry("quarantines", "Quarantine", namespaced=False)
SITE_CLASSES = _skerry("siteclasses", "SiteClass", namespaced=False)
EDGE_SITES = _skerry("edgesites", "EdgeSite", namespaced=False)
SITE_ASSIGNMENTS = _skerry("siteassignments", "SiteAssignment", namespaced=True)
RUNTIME_NODES = _skerry("runtimenodes", "RuntimeNode", namespaced=False)

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
SECRETS = Resource("", "v1", "secrets", "Secret", namespaced=True)
PODS = Resource("", "v1", "pods", "Pod", namespaced=True)
SERVICES = Resource("", "v1", "services", "Service", namespaced=True)
DAEMON_SETS = Resource("apps", "v1", "daemonsets", "DaemonSet", namespaced=True)
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding", namespaced=True)
SIGNING_REQUESTS = Resource(
    "certificates.k8s.io", "v1", "certificatesigningrequests", "CertificateSigningRequest", namespaced=False
)
