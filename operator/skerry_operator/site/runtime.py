"""Keeps the runtime's DaemonSet and Services as the verified assignment says."""

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
from skerry_operator.site.runtime_pod import daemon_set, services
from skerry_operator.site.salt import keep_salt


class Runtime:
    """Applies the runtime. It never deletes: a missing or untrusted assignment leaves everything as it is."""

    def __init__(self, kube: KubeApi, *, site: str, hub_key: bytes, allowed_images: Collection[str]) -> None:
        self._kube = kube
        self._site = site
        self._hub_key = hub_key
        self._allowed_images = allowed_images
        self._salted = False

    def open(self, spec: Mapping[str, Any]) -> AssignmentDocument:
        """Read a mirror's spec; UserMustActError (a TrustError, as a rule) if it isn't the hub's word for this site."""
        try:
            envelope = SiteAssignmentSpec.model_validate(spec).envelope
        except ValidationError as error:
            message = f"the mirrored SiteAssignment can't be read: {error}"
            raise UserMustActError("AssignmentMalformed", message) from error
        return open_assignment(envelope, self._hub_key, site=self._site, last=None)

    def apply(self, document: AssignmentDocument) -> None:
        """Server-side apply of the DaemonSet and its Services; without a change, all are no-ops for the API server.

        UserMustActError `ImageNotAllowed` leaves them as they are: the hub's word isn't enough to run any code here.
        """
        image = document.runtime.image
        if not allows(self._allowed_images, image):
            raise UserMustActError(
                "ImageNotAllowed",
                f"the hub assigns runtime image {image}, which this site doesn't allow: correct spec.image of the "
                "SiteClass, or add it to runtime.allowedImages of the chart skerry-site",
            )
        if not self._salted:
            # Before the first pod: a node that finds none makes one of its own.
            keep_salt(self._kube)
            self._salted = True
        self._kube.apply(DAEMON_SETS, daemon_set(document))
        for service in services():
            self._kube.apply(SERVICES, service)
