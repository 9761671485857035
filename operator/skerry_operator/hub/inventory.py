"""The hub's view of its objects: parsed, in memory, kept up by watch events and put right by every full listing."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, TypeVar, cast

import structlog
from pydantic import ValidationError

from skerry_api.kinds import SITE_NAMESPACE_PREFIX
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.fields import ApiModel, ObjectMeta
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.quarantine import Quarantine
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_api.v1alpha1.siteassignment import SiteAssignment
from skerry_api.v1alpha1.siteclass import SiteClass
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_api.v1alpha1.trustpolicy import TrustPolicy
from skerry_core.assignment.document import AssignmentDocument, ModelAssignment
from skerry_core.trust.assignment import open_assignment
from skerry_core.trust.errors import TrustError
from skerry_operator.kube.api import JsonObject, Listing
from skerry_operator.kube.resources import (
    EDGE_SITES,
    FEATURE_SETS,
    MODEL_RELEASES,
    MODELS,
    QUARANTINES,
    ROLLOUT_RINGS,
    SIGNING_REQUESTS,
    SITE_ASSIGNMENTS,
    SITE_CLASSES,
    SYNC_POLICIES,
    TRUST_POLICIES,
    Resource,
)

_log = structlog.get_logger()
Kind = TypeVar("Kind", bound=ApiModel)

PARSERS: dict[Resource, type[ApiModel]] = {
    MODELS: Model,
    MODEL_RELEASES: ModelRelease,
    ROLLOUT_RINGS: RolloutRing,
    FEATURE_SETS: FeatureSet,
    SYNC_POLICIES: SyncPolicy,
    TRUST_POLICIES: TrustPolicy,
    QUARANTINES: Quarantine,
    SITE_CLASSES: SiteClass,
    EDGE_SITES: EdgeSite,
    SITE_ASSIGNMENTS: SiteAssignment,
}
WATCHED: tuple[Resource, ...] = (*PARSERS, SIGNING_REQUESTS)


class Key(NamedTuple):
    """Which object to look at; the namespace is empty for cluster-scoped kinds."""

    resource: Resource
    namespace: str
    name: str

    def __str__(self) -> str:
        """As kubectl spells it."""
        return "/".join(filter(None, (self.resource.plural, self.namespace, self.name)))


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """One site's SiteAssignment: its newest report, and what its envelope says (None if that isn't by our key)."""

    assignment: SiteAssignment
    document: AssignmentDocument | None

    def entry(self, namespace: str, model: str) -> ModelAssignment | None:
        """What the site is told about one model."""
        entries = self.document.models if self.document else ()
        return next((each for each in entries if (each.namespace, each.name) == (namespace, model)), None)

    def held(self) -> frozenset[tuple[str, str]]:
        """Namespace and name of the models that the site has, by its last report."""
        return frozenset((report.namespace, report.model) for report in self.assignment.status.models)


class Inventory:
    """Safe to use from several threads; what it hands out is frozen."""

    def __init__(self, hub_public_key: bytes, now: Callable[[], datetime]) -> None:
        self._hub_public_key = hub_public_key
        self._now = now
        self._objects: dict[Resource, dict[tuple[str, str], Any]] = {resource: {} for resource in WATCHED}
        # What is gone, as it was last, until a listing is newer: one that is older would bring it back.
        self._deleted: dict[Resource, dict[tuple[str, str], ObjectMeta]] = {resource: {} for resource in WATCHED}
        self._records: dict[str, SiteRecord] = {}
        self._heard: dict[str, datetime] = {}
        self._lock = threading.RLock()

    def observe(self, resource: Resource, event: str | None, body: JsonObject) -> bool:
        """Take one object as a watch (or an own write) shows it; False if it is nothing new or can't be read."""
        key = (body["metadata"].get("namespace") or "", body["metadata"]["name"])
        with self._lock:
            if event == "DELETED":
                self._deleted[resource][key] = ObjectMeta.model_validate(body["metadata"])
                return self._forget(resource, key)
            held = self._objects[resource].get(key)
            known = self._deleted[resource].get(key) if held is None else _metadata(held)
            if known is not None and not _newer(body, known):
                return False
            try:
                parsed = PARSERS[resource].model_validate(body) if resource in PARSERS else body
            except ValidationError as error:
                # The CRD let it in, so a newer version wrote it; the last one that we could read stays.
                _log.warning("object can't be read", kind=resource.kind, name=key[1], error=str(error))
                return False
            self._objects[resource][key] = parsed
            self._deleted[resource].pop(key, None)
            if isinstance(parsed, SiteAssignment):
                self._record(parsed)
            return True

    def replace(self, resource: Resource, listing: Listing) -> list[Key]:
        """Take a full listing, forgetting what isn't in it; the keys of all that is there or was.

        What a watch has shown since, and the listing doesn't know, stays: objects that were made, or deleted.
        """
        with self._lock:
            before = set(self._objects[resource])
            present = set()
            for item in listing.items:
                self.observe(resource, None, item)
                present.add((item["metadata"].get("namespace") or "", item["metadata"]["name"]))
            at = int(listing.resource_version)
            for key in before - present:
                if _version(_metadata(self._objects[resource][key])) <= at:
                    self._forget(resource, key)
            deleted = self._deleted[resource]
            self._deleted[resource] = {key: last for key, last in deleted.items() if _version(last) > at}
            return [Key(resource, *key) for key in sorted(before | present)]

    def get(self, kind: type[Kind], name: str, namespace: str = "") -> Kind | None:
        """One object of a kind of ours."""
        with self._lock:
            return cast("Kind | None", self._objects[_RESOURCES[kind]].get((namespace, name)))

    def all(self, kind: type[Kind]) -> Iterator[Kind]:
        """All objects of a kind of ours, in no order."""
        with self._lock:
            return iter(cast("list[Kind]", list(self._objects[_RESOURCES[kind]].values())))

    def signing_request(self, name: str) -> JsonObject | None:
        """One CertificateSigningRequest, as on the wire."""
        with self._lock:
            return cast("JsonObject | None", self._objects[SIGNING_REQUESTS].get(("", name)))

    def signing_requests(self) -> list[JsonObject]:
        """All CertificateSigningRequests."""
        with self._lock:
            return list(self._objects[SIGNING_REQUESTS].values())

    def record(self, site: str) -> SiteRecord | None:
        """What a site is told and what it reports."""
        with self._lock:
            return self._records.get(site)

    def records(self) -> list[SiteRecord]:
        """What all sites are told, in no order."""
        with self._lock:
            return list(self._records.values())

    def last_seen(self, site: str) -> datetime | None:
        """When a site's report last changed, by the hub's clock; what EdgeSite.status remembers right after a start.

        Sites write `reportedAt` anew every few seconds while the link is up: that is the heartbeat, so that no object
        besides the report is needed for it.
        """
        with self._lock:
            if (heard := self._heard.get(site)) is not None:
                return heard
            edge_site = self.get(EdgeSite, site)
            return edge_site.status.last_seen if edge_site else None

    def _record(self, parsed: SiteAssignment) -> None:
        namespace = parsed.metadata.namespace or ""
        if not namespace.startswith(SITE_NAMESPACE_PREFIX):
            return
        site = namespace.removeprefix(SITE_NAMESPACE_PREFIX)
        before = self._records.get(site)
        if before is not None and before.assignment.spec.envelope == parsed.spec.envelope:
            document = before.document
        else:
            document = self._open(parsed.spec.envelope, site)
        self._records[site] = SiteRecord(parsed, document)
        # The first report seen after a start may be days old; only a change shows that somebody is there.
        known = before is not None or self.last_seen(site) is None
        reported = before.assignment.status.reported_at if before else None
        if known and parsed.status.reported_at not in (None, reported):
            self._heard[site] = self._now()

    def _open(self, envelope: str, site: str) -> AssignmentDocument | None:
        try:
            return open_assignment(envelope, self._hub_public_key, site=site, last=None)
        except TrustError as error:
            _log.warning(
                "assignment was not sealed by this hub; it will be written anew", site=site, message=str(error)
            )
            return None

    def _forget(self, resource: Resource, key: tuple[str, str]) -> bool:
        if resource is SITE_ASSIGNMENTS:
            self._records.pop(key[0].removeprefix(SITE_NAMESPACE_PREFIX), None)
        return self._objects[resource].pop(key, None) is not None


_RESOURCES = {kind: resource for resource, kind in PARSERS.items()}


def resource_of(kind: type[ApiModel]) -> Resource:
    """Where objects of a kind of ours are kept."""
    return _RESOURCES[kind]


def _metadata(held: Any) -> ObjectMeta:
    if isinstance(held, dict):
        return ObjectMeta.model_validate(held["metadata"])
    return cast("ObjectMeta", held.metadata)


def _newer(body: JsonObject, held: ObjectMeta) -> bool:
    """Tell whether an object is newer than the one that is held.

    Resource versions of one kind are comparable as numbers (KEP-5504); an object made anew has another uid.
    """
    version = body["metadata"].get("resourceVersion") or "0"
    if held.uid is not None and body["metadata"].get("uid") != held.uid:
        return True
    return int(version) > _version(held)


def _version(held: ObjectMeta) -> int:
    return int(held.resource_version or 0)
