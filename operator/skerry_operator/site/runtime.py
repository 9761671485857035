"""Keeps the runtime's DaemonSet and Service as the verified assignment says."""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import ValidationError

from skerry_api.v1alpha1.siteassignment import SiteAssignmentSpec
from skerry_core.assignment.document import AssignmentDocument
from skerry_core.errors import UserMustActError
from skerry_core.trust.assignment import open_assignment
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.resources import DAEMON_SETS, SERVICES
from skerry_operator.site.images import allows
from skerry_operator.site.runtime_pod import daemon_set, service


class Runtime:
    """Applies the runtime. It never deletes: a missing or untrusted assignment leaves everything as it is."""

    def __init__(self, kube: KubeApi, *, site: str, hub_key: bytes, allowed_images: Collection[str]) -> None:
        self._kube = kube
        self._site = site
        self._hub_key = hub_key
        self._allowed_images = allowed_images

    def open(self, spec: Mapping[str, Any]) -> AssignmentDocument:
        """Read a mirror's spec; UserMustActError (a TrustError, as a rule) if it isn't the hub's word for this site."""
        try:
            envelope = SiteAssignmentSpec.model_validate(spec).envelope
        except ValidationError as error:
            message = f"the mirrored SiteAssignment can't be read: {error}"
            raise UserMustActError("AssignmentMalformed", message) from error
        return open_assignment(envelope, self._hub_key, site=self._site, last=None)

    def apply(self, document: AssignmentDocument) -> None:
        """Server-side apply of the DaemonSet and its Service; without a change, both are no-ops for the API server.

        UserMustActError `ImageNotAllowed` leaves both as they are: the hub's word isn't enough to run any code here.
        """
        image = document.runtime.image
        if not allows(self._allowed_images, image):
            raise UserMustActError(
                "ImageNotAllowed",
                f"the hub assigns runtime image {image}, which this site doesn't allow: correct spec.image of the "
                "SiteClass, or add it to runtime.allowedImages of the chart skerry-site",
            )
        self._kube.apply(DAEMON_SETS, daemon_set(document))
        self._kube.apply(SERVICES, service())
