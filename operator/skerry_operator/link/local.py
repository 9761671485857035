"""The local end of the link: the mirrored assignment and store grant in the site's own API."""

import base64

from pydantic import ValidationError

from skerry_api.v1alpha1.siteassignment import SiteAssignmentSpec
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import SECRETS, SITE_ASSIGNMENTS
from skerry_operator.site.names import ASSIGNMENT, RUNTIME_NAMESPACE, STORE_GRANT


class LocalMirror:
    """Writes what came down. There is no way to delete: what is missing at the hub changes nothing here."""

    def __init__(self, kube: KubeApi) -> None:
        self._kube = kube

    def assignment(self) -> SiteAssignmentSpec | None:
        """The mirrored assignment; None if there is none, or none that can be read."""
        found = self._kube.get(SITE_ASSIGNMENTS, ASSIGNMENT, RUNTIME_NAMESPACE)
        try:
            return None if found is None else SiteAssignmentSpec.model_validate(found.get("spec"))
        except ValidationError:
            return None

    def write_assignment(self, spec: SiteAssignmentSpec) -> None:
        """Make the mirror say exactly what the hub says."""
        self._kube.apply(
            SITE_ASSIGNMENTS,
            {"metadata": {"name": ASSIGNMENT, "namespace": RUNTIME_NAMESPACE}, "spec": spec.to_wire()},
        )

    def write_grant(self, content: bytes) -> None:
        """Make the grant available to sync."""
        self._kube.apply(
            SECRETS,
            {
                "metadata": {"name": STORE_GRANT, "namespace": RUNTIME_NAMESPACE},
                "type": "Opaque",
                "data": {"grant.json": base64.b64encode(content).decode()},
            },
        )
