"""The link's first adapter: the hub's Kubernetes API, with this site's client certificate."""

import base64
import random
from collections.abc import Iterator

from pydantic import ValidationError

from skerry_api.kinds import ASSIGNMENT_NAME, GRANT_KEY, GRANT_SECRET, SITE_NAMESPACE_PREFIX
from skerry_api.v1alpha1.siteassignment import SiteAssignmentSpec, SiteAssignmentStatus
from skerry_core.errors import WaitError
from skerry_operator.kube.api import KubeApi
from skerry_operator.kube.errors import NotServedError
from skerry_operator.kube.resources import SECRETS, SITE_ASSIGNMENTS
from skerry_operator.link.port import Downlink
from skerry_operator.link.traffic import Purpose, counted_as, each_counted_as

# A watch that died without a word (NAT timeout, pulled cable) is noticed when its time is up at the latest; drawn, so
# that sites which lost the hub together don't come back in step.
_WATCH_SECONDS = (45.0, 75.0)

_WATCHED = {
    Downlink.ASSIGNMENT: (SITE_ASSIGNMENTS, ASSIGNMENT_NAME, Purpose.ASSIGNMENT),
    Downlink.GRANT: (SECRETS, GRANT_SECRET, Purpose.GRANT),
}


def hub_namespace(site: str) -> str:
    """The site's own namespace at the hub."""
    return SITE_NAMESPACE_PREFIX + site


class HubApiLink:
    """One site's namespace at the hub, by a KubeApi that carries the site's credential."""

    def __init__(self, hub: KubeApi, site: str, watch_seconds: tuple[float, float] = _WATCH_SECONDS) -> None:
        self._hub = hub
        self._namespace = hub_namespace(site)
        self._watch_seconds = watch_seconds

    def latest(self) -> SiteAssignmentSpec | None:
        with counted_as(Purpose.ASSIGNMENT):
            found = self._hub.get(SITE_ASSIGNMENTS, ASSIGNMENT_NAME, self._namespace)
        if found is None:
            return None
        try:
            return SiteAssignmentSpec.model_validate(found["spec"])
        except (KeyError, ValidationError) as error:
            raise WaitError("AssignmentMalformed", f"the hub's SiteAssignment can't be read: {error}") from error

    def upload_grant(self) -> bytes | None:
        with counted_as(Purpose.GRANT):
            found = self._hub.get(SECRETS, GRANT_SECRET, self._namespace)
        content = ((found or {}).get("data") or {}).get(GRANT_KEY)
        return None if content is None else base64.b64decode(content)

    def watch(self, what: Downlink) -> Iterator[None]:
        resource, name, purpose = _WATCHED[what]
        seconds = random.uniform(*self._watch_seconds)  # noqa: S311 - spreads load
        # Version 0: the object as the API server has it in memory comes first, as an ADDED event.
        events = self._hub.watch(resource, since="0", namespace=self._namespace, name=name, timeout=seconds)
        edges = (event for event in events if event.type in ("ADDED", "MODIFIED"))
        yield from each_counted_as(purpose, edges)

    def report(self, status: SiteAssignmentStatus) -> None:
        body = {
            "metadata": {"name": ASSIGNMENT_NAME, "namespace": self._namespace},
            "status": status.to_wire(),
        }
        try:
            with counted_as(Purpose.REPORT):
                self._hub.apply(SITE_ASSIGNMENTS, body, "status")
        except NotServedError as error:
            raise WaitError(
                "NotAssigned", "the hub has no SiteAssignment for this site yet; nothing to do here"
            ) from error
