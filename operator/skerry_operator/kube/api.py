"""The port to a Kubernetes API server: plain JSON objects as on the wire, errors of `skerry_operator.kube.errors`."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from skerry_operator.kube.resources import Resource

# The name under which the operators own fields, annotations and (were there any) finalizers.
FIELD_MANAGER = "skerry.dev"

JsonObject = dict[str, Any]


@dataclass(frozen=True)
class WatchEvent:
    """One change; `BOOKMARK` objects carry nothing but a resource version."""

    type: Literal["ADDED", "MODIFIED", "DELETED", "BOOKMARK"]
    object: JsonObject

    @property
    def resource_version(self) -> str:
        """Where to resume the watch."""
        version: str = self.object["metadata"]["resourceVersion"]
        return version


@dataclass(frozen=True)
class Listing:
    """Objects as of one resource version, from which a watch goes on."""

    items: tuple[JsonObject, ...]
    resource_version: str


class KubeApi(Protocol):
    """What the operators need of an API server. All calls block, and give up after a bounded time.

    Every call may raise ForbiddenError, UnavailableError, RetryError; writes InvalidObjectError and ConflictError too.
    """

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> JsonObject | None:
        """Read one object; None if it isn't there."""
        ...

    def list(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> Listing:
        """Read all objects of a namespace, or of all namespaces."""
        ...

    def create(self, resource: Resource, body: JsonObject) -> JsonObject:
        """Create an object (name and namespace from its metadata); ConflictError if it is there already."""
        ...

    def replace(self, resource: Resource, body: JsonObject, subresource: str = "") -> JsonObject:
        """Put an object, or its `status` or `approval`, as a whole.

        ConflictError if `metadata.resourceVersion` is given and no longer the newest; NotServedError if it is gone.
        """
        ...

    def apply(self, resource: Resource, body: JsonObject, subresource: str = "") -> JsonObject:
        """Server-side apply as `FIELD_MANAGER`, taking over the fields that `body` names; creates if need be."""
        ...

    def patch(self, resource: Resource, name: str, namespace: str | None, body: JsonObject) -> JsonObject:
        """JSON merge patch (RFC 7396): null removes a field, lists are replaced."""
        ...

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        """Delete an object; one that isn't there is no error."""
        ...

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str | None = None,
        name: str | None = None,
        timeout: float,
    ) -> Iterator[WatchEvent]:
        """Yield changes after resource version `since` until `timeout` seconds passed; GoneError if it is too old."""
        ...
