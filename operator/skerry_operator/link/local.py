"""The local end of the link: the mirrored assignment and store grant in the site's own API."""

import base64

from pydantic import ValidationError

from skerry_api.kinds import ASSIGNMENT_NAME, GRANT_KEY, GRANT_SECRET, RUNTIME_NAMESPACE
from skerry_api.v1alpha1.siteassignment import Serial, SiteAssignmentSpec
from skerry_operator.kube.api import JsonObject, KubeApi
from skerry_operator.kube.errors import InvalidObjectError
from skerry_operator.kube.resources import SECRETS, SITE_ASSIGNMENTS

_MIRROR = {"name": ASSIGNMENT_NAME, "namespace": RUNTIME_NAMESPACE}


class LocalMirror:
    """Writes what came down. What is missing at the hub changes nothing here."""

    def __init__(self, kube: KubeApi) -> None:
        self._kube = kube

    def assignment(self) -> SiteAssignmentSpec | None:
        """The mirrored assignment; None if there is none, or none that can be read."""
        found = self._kube.get(SITE_ASSIGNMENTS, ASSIGNMENT_NAME, RUNTIME_NAMESPACE)
        try:
            return None if found is None else SiteAssignmentSpec.model_validate(found.get("spec"))
        except ValidationError:
            return None

    def write_assignment(self, spec: SiteAssignmentSpec) -> None:
        """Make the mirror say what the hub said; `spec` is of a verified document.

        The API server never lets the serial go back. So a mirror whose serial somebody raised by hand is made anew,
        with the report that it holds.
        """
        body: JsonObject = {"metadata": dict(_MIRROR), "spec": spec.to_wire()}
        try:
            self._kube.apply(SITE_ASSIGNMENTS, body)
        except InvalidObjectError:
            found = self._kube.get(SITE_ASSIGNMENTS, ASSIGNMENT_NAME, RUNTIME_NAMESPACE)
            if found is None or not _is_ahead(found, spec):
                raise
            self._kube.delete(SITE_ASSIGNMENTS, ASSIGNMENT_NAME, RUNTIME_NAMESPACE)
            self._kube.apply(SITE_ASSIGNMENTS, body)
            if "status" in found:
                self._kube.apply(SITE_ASSIGNMENTS, {"metadata": dict(_MIRROR), "status": found["status"]}, "status")

    def write_grant(self, content: bytes) -> None:
        """Make the grant available to sync."""
        self._kube.apply(
            SECRETS,
            {
                "metadata": {"name": GRANT_SECRET, "namespace": RUNTIME_NAMESPACE},
                "type": "Opaque",
                "data": {GRANT_KEY: base64.b64encode(content).decode()},
            },
        )


def _is_ahead(found: JsonObject, spec: SiteAssignmentSpec) -> bool:
    return Serial.model_validate(found["spec"]["serial"]).key() > spec.serial.key()
