"""Writes an object's status, once a reconcile and only if it says something new."""

from typing import Any, Protocol

from skerry_api.v1alpha1.condition import Status
from skerry_api.v1alpha1.fields import ObjectMeta
from skerry_operator.hub.inventory import Inventory, resource_of
from skerry_operator.kube.api import KubeApi


class HasStatus(Protocol):
    """Any of our kinds."""

    @property
    def metadata(self) -> ObjectMeta: ...

    @property
    def status(self) -> Status: ...


class StatusWriter:
    """Puts statuses by optimistic locking, and shows the inventory what it wrote."""

    def __init__(self, kube: KubeApi, inventory: Inventory) -> None:
        self._kube = kube
        self._inventory = inventory

    def write(self, item: HasStatus, status: Status) -> None:
        """Write `status` if it differs from what `item` has; ConflictError if somebody wrote in between."""
        wire, before = status.to_wire(), item.status.to_wire()
        if wire == before:
            return
        resource = resource_of(type(item))  # type: ignore[arg-type]
        metadata: dict[str, Any] = {"name": item.metadata.name, "resourceVersion": item.metadata.resource_version}
        if item.metadata.namespace:
            metadata["namespace"] = item.metadata.namespace
        body = {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "status": wire}
        self._inventory.observe(resource, "MODIFIED", self._kube.replace(resource, body, "status"))
