"""A site's own corner of the hub: its namespace, and the shared role bound in it. Pure: objects as data."""

from skerry_api.kinds import SITE_NAMESPACE_PREFIX
from skerry_operator.kube.api import JsonObject
from skerry_operator.kube.resources import NAMESPACES, ROLE_BINDINGS

SITE_ROLE = "skerry-site"
SITE_LABEL = "skerry.dev/site"
USER_PREFIX = "skerry:site:"


def namespace_of(site: str) -> str:
    """The name of the site's namespace."""
    return SITE_NAMESPACE_PREFIX + site


def namespace_object(site: str) -> JsonObject:
    """The namespace; nothing runs in it, and if something ever did it would be held to `restricted`."""
    labels = {SITE_LABEL: site, "pod-security.kubernetes.io/enforce": "restricted"}
    return {
        "apiVersion": NAMESPACES.api_version,
        "kind": NAMESPACES.kind,
        "metadata": {"name": namespace_of(site), "labels": labels},
    }


def role_binding(site: str) -> JsonObject:
    """Lets the site's certificate read its assignment and write its report, here and nowhere else."""
    group = ROLE_BINDINGS.group
    return {
        "apiVersion": ROLE_BINDINGS.api_version,
        "kind": ROLE_BINDINGS.kind,
        "metadata": {"name": SITE_ROLE, "namespace": namespace_of(site), "labels": {SITE_LABEL: site}},
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": SITE_ROLE},
        "subjects": [{"apiGroup": group, "kind": "User", "name": USER_PREFIX + site}],
    }
