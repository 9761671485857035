"""KubeApi in memory: versions, conflicts, status subresources and watches as an API server has them; no schemas."""

import copy
import itertools
import threading
from collections.abc import Iterator
from typing import Any

from skerry_operator.kube.api import JsonObject, Listing, WatchEvent
from skerry_operator.kube.errors import ConflictError, NotServedError
from skerry_operator.kube.resources import Resource

_Key = tuple[str, str, str]


class MemoryKube:
    """An API server for tests. Watches replay what happened since and end when nothing more did."""

    def __init__(self) -> None:
        self._objects: dict[_Key, JsonObject] = {}
        self._events: list[tuple[int, Resource, WatchEvent]] = []
        self._versions = itertools.count(1)
        self._newest = 0
        self._lock = threading.RLock()

    def get(self, resource: Resource, name: str, namespace: str | None = None) -> JsonObject | None:
        resource.path(namespace, name)
        with self._lock:
            return copy.deepcopy(self._objects.get(_key(resource, name, namespace)))

    def list(self, resource: Resource, namespace: str | None = None, label_selector: str = "") -> Listing:
        wanted = dict(pair.split("=", 1) for pair in label_selector.split(",") if pair)
        with self._lock:
            items = [
                copy.deepcopy(item)
                for (plural, space, _), item in sorted(self._objects.items())
                if plural == resource.plural and namespace in (None, space)
                if wanted.items() <= item["metadata"].get("labels", {}).items()
            ]
            return Listing(tuple(items), str(self._newest))

    def create(self, resource: Resource, body: JsonObject) -> JsonObject:
        metadata = body["metadata"]
        key = _key(resource, metadata["name"], metadata.get("namespace"))
        with self._lock:
            if key in self._objects:
                raise ConflictError("Conflict", f"{resource.kind} {metadata['name']} is there already")
            fresh = copy.deepcopy(body)
            fresh.pop("status", None)
            fresh["metadata"] |= {"uid": f"uid-{self._newest + 1}", "generation": 1}
            return self._store(resource, key, fresh, "ADDED")

    def replace(self, resource: Resource, body: JsonObject, subresource: str = "") -> JsonObject:
        metadata = body["metadata"]
        key = _key(resource, metadata["name"], metadata.get("namespace"))
        with self._lock:
            if (current := self._objects.get(key)) is None:
                raise NotServedError("NotFound", f"no {resource.kind} {metadata['name']}")
            if (
                metadata.get("resourceVersion", current["metadata"]["resourceVersion"])
                != (current["metadata"]["resourceVersion"])
            ):
                raise ConflictError("Conflict", f"{resource.kind} {metadata['name']} has changed")
            return self._update(resource, key, current, copy.deepcopy(body), subresource)

    def apply(self, resource: Resource, body: JsonObject, subresource: str = "") -> JsonObject:
        metadata = body["metadata"]
        key = _key(resource, metadata["name"], metadata.get("namespace"))
        with self._lock:
            if (current := self._objects.get(key)) is None:
                if subresource:
                    raise NotServedError("NotFound", f"no {resource.kind} {metadata['name']}")
                return self.create(resource, body)
            merged = _merge(current, body)
            return self._update(resource, key, current, merged, subresource)

    def patch(self, resource: Resource, name: str, namespace: str | None, body: JsonObject) -> JsonObject:
        key = _key(resource, name, namespace)
        with self._lock:
            if (current := self._objects.get(key)) is None:
                raise NotServedError("NotFound", f"no {resource.kind} {name}")
            return self._update(resource, key, current, _merge(current, body), "")

    def delete(self, resource: Resource, name: str, namespace: str | None = None) -> None:
        with self._lock:
            if (gone := self._objects.pop(_key(resource, name, namespace), None)) is not None:
                self._record(resource, gone, "DELETED")

    def watch(
        self,
        resource: Resource,
        *,
        since: str,
        namespace: str | None = None,
        name: str | None = None,
        timeout: float,  # noqa: ARG002 - it ends as soon as nothing more happened
    ) -> Iterator[WatchEvent]:
        with self._lock:
            events = [
                event
                for version, changed, event in self._events
                if version > int(since or 0) and changed == resource
                if namespace in (None, event.object["metadata"].get("namespace"))
                if name in (None, event.object["metadata"]["name"])
            ]
        yield from copy.deepcopy(events)

    def _update(
        self, resource: Resource, key: _Key, current: JsonObject, body: JsonObject, subresource: str
    ) -> JsonObject:
        # A subresource writes status alone; the object itself never does.
        taken, kept = (body, current) if subresource else (current, body)
        fresh = {name: value for name, value in kept.items() if name != "status"}
        fresh |= {"status": taken["status"]} if "status" in taken else {}
        fixed = {name: current["metadata"][name] for name in ("uid", "generation", "resourceVersion")}
        fresh["metadata"] = {**kept["metadata"], **fixed}
        if fresh == current:
            return copy.deepcopy(current)
        fresh["metadata"]["generation"] += fresh.get("spec") != current.get("spec")
        return self._store(resource, key, fresh, "MODIFIED")

    def _store(self, resource: Resource, key: _Key, item: JsonObject, change: Any) -> JsonObject:
        item = {"apiVersion": resource.api_version, "kind": resource.kind, **item}
        self._objects[key] = item
        self._record(resource, item, change)
        return copy.deepcopy(item)

    def _record(self, resource: Resource, item: JsonObject, change: Any) -> None:
        self._newest = next(self._versions)
        item["metadata"]["resourceVersion"] = str(self._newest)
        self._events.append((self._newest, resource, WatchEvent(change, copy.deepcopy(item))))


def _key(resource: Resource, name: str, namespace: str | None) -> _Key:
    return (resource.plural, namespace or "", name)


def _merge(current: Any, patch: Any) -> Any:
    """RFC 7396."""
    if not isinstance(patch, dict):
        return copy.deepcopy(patch)
    merged = dict(current) if isinstance(current, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merge(merged.get(name), value)
    return merged
