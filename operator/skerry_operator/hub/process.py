"""The hub's process apart from kopf: reconciles by kind, what follows from a change of what, and the patrol."""

import threading
from collections.abc import Callable, Iterable
from datetime import datetime
from time import monotonic

import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from skerry_api.kinds import SITE_NAMESPACE_PREFIX
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.featureset import FeatureSet
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.modelrelease import ModelRelease
from skerry_api.v1alpha1.quarantine import Quarantine
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_api.v1alpha1.siteclass import SiteClass
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_core.errors import SkerryError
from skerry_core.trust import keys
from skerry_core.trust.verifier import ReleaseVerifier
from skerry_operator.hub.config import HubConfig
from skerry_operator.hub.enrollment import site_of
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import WATCHED, Inventory, Key
from skerry_operator.hub.model_facts import name_of
from skerry_operator.hub.published import PublishedReader
from skerry_operator.hub.reconcile.feature_set import reconcile_feature_set
from skerry_operator.hub.reconcile.model import ModelReconciler
from skerry_operator.hub.reconcile.quarantine import reconcile_quarantine
from skerry_operator.hub.reconcile.release import ReleaseReconciler
from skerry_operator.hub.reconcile.ring import reconcile_ring, reconcile_site_class
from skerry_operator.hub.reconcile.signing_request import reconcile_signing_request
from skerry_operator.hub.reconcile.site import SiteReconciler
from skerry_operator.hub.reconcile.sync_policy import reconcile_sync_policy
from skerry_operator.hub.reconcile.trust_policy import recall, reconcile_trust_policy
from skerry_operator.hub.status import StatusWriter
from skerry_operator.hub.trained_on import FeatureSetReader
from skerry_operator.hub.workqueue import WorkQueue
from skerry_operator.kube.api import JsonObject, KubeApi
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
_WORKERS = 4
_PATROL_SECONDS = 600.0
_RETRY_SECONDS = 5.0
# Sites' statuses change all the time: who only counts them does so once for many.
_SOON = 2.0

Reconcile = Callable[[Key], float | None]


class HubProcess:
    """Everything between a change that was seen and the writes that follow from it."""

    def __init__(self, config: HubConfig, kube: KubeApi, now: Callable[[], datetime]) -> None:
        self.queue: WorkQueue[Key] = WorkQueue(self._reconcile)
        inventory = Inventory(_public_of(config.hub_key), now)
        store = config.open_store()
        self.hub = Hub(
            kube=kube,
            store=store,
            trained_on=FeatureSetReader(store),
            published=PublishedReader(store),
            verifier=ReleaseVerifier(config.trusted_root),
            grants=config.grant_issuer(),
            inventory=inventory,
            statuses=StatusWriter(kube, inventory),
            policy_key=config.policy_key,
            hub_key=config.hub_key,
            incarnation=config.incarnation,
            now=now,
            enqueue=self.queue.add,
        )
        self._reconciles: dict[Resource, Reconcile] = {
            MODELS: ModelReconciler(self.hub),
            MODEL_RELEASES: ReleaseReconciler(self.hub),
            ROLLOUT_RINGS: lambda key: reconcile_ring(self.hub, key),
            SITE_CLASSES: lambda key: reconcile_site_class(self.hub, key),
            FEATURE_SETS: lambda key: reconcile_feature_set(self.hub, key),
            SYNC_POLICIES: lambda key: reconcile_sync_policy(self.hub, key),
            TRUST_POLICIES: lambda key: reconcile_trust_policy(self.hub, key),
            QUARANTINES: lambda key: reconcile_quarantine(self.hub, key),
            EDGE_SITES: SiteReconciler(self.hub),
            SIGNING_REQUESTS: lambda key: reconcile_signing_request(self.hub, key),
        }

    def observe(self, resource: Resource, event: str | None, body: JsonObject) -> None:
        """Take what a watch shows; cheap enough for an event loop."""
        if self.hub.inventory.observe(resource, event, body):
            metadata = body["metadata"]
            self._follow(Key(resource, metadata.get("namespace") or "", metadata["name"]))

    def list_all(self) -> None:
        """Read every kind as a whole.

        Before the first time nothing is decided: a ring whose sites aren't known yet would look like an empty one.
        """
        found: list[Key] = []
        for resource in WATCHED:
            found += self.hub.inventory.replace(resource, self.hub.kube.list(resource))
        for key in found:
            self._follow(key)

    def run(self, stop: threading.Event) -> None:
        """Start the workers, and patrol: list everything anew now and then, since watches lose events."""
        started, due = False, monotonic()
        while not stop.is_set():
            delay = _RETRY_SECONDS
            try:
                if monotonic() >= due:
                    self.list_all()
                    due = monotonic() + _PATROL_SECONDS
                if not started:
                    self.queue.start(_WORKERS)
                    started = True
                # Tried again alone: a store that is away is no reason to look at everything every few seconds.
                recall(self.hub)
                delay = _PATROL_SECONDS
            except SkerryError as error:
                _log.warning("the hub's patrol will be tried again", reason=error.reason, message=str(error))
            except Exception:  # noqa: BLE001 - a fault of ours must not end the patrol for good
                _log.exception("the hub's patrol failed unexpectedly")
            stop.wait(delay)
        self.queue.stop()

    def _reconcile(self, key: Key) -> float | None:
        return self._reconciles[key.resource](key)

    def _follow(self, key: Key) -> None:
        """Have everything looked at that a change of one object may concern."""
        inventory = self.hub.inventory
        if key.resource is SITE_ASSIGNMENTS:
            site = key.namespace.removeprefix(SITE_NAMESPACE_PREFIX)
            self.queue.add(Key(EDGE_SITES, "", site))
            self._feed_models(inventory.all(Model), [site])
            return
        self.queue.add(key)
        if key.resource is EDGE_SITES:
            self._feed_models(inventory.all(Model), [key.name])
            self._add_all(SITE_CLASSES, inventory.all(SiteClass))
            self._add_all(ROLLOUT_RINGS, inventory.all(RolloutRing))
            self._add_all(SYNC_POLICIES, inventory.all(SyncPolicy), _SOON)
            self._add_requests(key.name)
        elif key.resource is MODELS:
            # All models: a name may have become free.
            self._feed_models(inventory.all(Model), (site.metadata.name for site in inventory.all(EdgeSite)))
            self._add_all(EDGE_SITES, inventory.all(EdgeSite))
        elif key.resource is ROLLOUT_RINGS:
            self._feed_models(inventory.all(Model), (site.metadata.name for site in inventory.all(EdgeSite)))
        elif key.resource is SYNC_POLICIES:
            # All policies: this one may have taken sites from a later one, or left some to it.
            self._add_all(SYNC_POLICIES, inventory.all(SyncPolicy))
            self._add_all(EDGE_SITES, inventory.all(EdgeSite))
            self._add_all(FEATURE_SETS, inventory.all(FeatureSet), _SOON)
        elif key.resource is SITE_CLASSES:
            self._add_all(EDGE_SITES, inventory.all(EdgeSite))
        elif key.resource is MODEL_RELEASES:
            self._follow_release(key)
        elif key.resource is QUARANTINES:
            quarantine = inventory.get(Quarantine, key.name)
            self._feed_models(inventory.all(Model), ())
            if quarantine is not None:
                self._add_all(MODEL_RELEASES, inventory.all(ModelRelease))

    def _follow_release(self, key: Key) -> None:
        inventory = self.hub.inventory
        release = inventory.get(ModelRelease, key.name, key.namespace)
        models = (model for model in inventory.all(Model) if model.metadata.namespace == key.namespace)
        wanted = {release.spec.model} if release else {model.metadata.name for model in models}
        for name in wanted:
            self.queue.add(Key(MODELS, key.namespace, name))

    def _feed_models(self, models: Iterable[Model], sites: Iterable[str]) -> None:
        models = list(models)
        self.hub.dirty.mark(map(name_of, models), sites)
        self._add_all(MODELS, models)

    def _add_all(
        self,
        resource: Resource,
        items: Iterable[Model | ModelRelease | EdgeSite | FeatureSet | RolloutRing | SiteClass | SyncPolicy],
        delay: float = 0.0,
    ) -> None:
        for item in items:
            self.queue.add(Key(resource, item.metadata.namespace or "", item.metadata.name), delay)

    def _add_requests(self, site: str) -> None:
        """A site that was accepted just now may have asked before."""
        for csr in self.hub.inventory.signing_requests():
            if site_of(csr["spec"]) == site:
                self.queue.add(Key(SIGNING_REQUESTS, "", csr["metadata"]["name"]))


def _public_of(hub_key: bytes) -> bytes:
    public = keys.load_private_key(hub_key).public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
