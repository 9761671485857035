"""EdgeSite: its namespace and access, its signed assignment, its store grant, and what its report amounts to."""

from collections.abc import Mapping
from datetime import timedelta
from functools import partial

import structlog

from skerry_api.conditions import Observation, Outcome, Stalled, Waiting
from skerry_api.kinds import ASSIGNMENT_NAME
from skerry_api.v1alpha1.condition import ConditionStatus
from skerry_api.v1alpha1.edgesite import EdgeSite
from skerry_api.v1alpha1.model import Model
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_api.v1alpha1.siteclass import RuntimeResources, SiteClass
from skerry_api.v1alpha1.syncpolicy import SyncPolicy
from skerry_core.assignment.document import AssignmentDocument, RuntimeTemplate
from skerry_core.assignment.spec import spec_of
from skerry_core.errors import SkerryError, UserMustActError, WaitError
from skerry_core.store.confinement import check_confinement
from skerry_core.store.s3 import S3Store
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.trust.assignment import seal_assignment
from skerry_operator.hub.compose import ModelPolicy, compose, next_serial, target_of
from skerry_operator.hub.fed import FEATURES_FED, features_fed
from skerry_operator.hub.grants import GrantKeeper
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.model_facts import name_of
from skerry_operator.hub.placement import is_removed
from skerry_operator.hub.rollout.defaults import (
    EVIDENCE_MAX_AGE,
    analysis_limits,
    drift_limits,
    effective_model,
    effective_ring,
)
from skerry_operator.hub.rollout.facts import SiteTarget
from skerry_operator.hub.rollout.ring_membership import ring_of, rings_of
from skerry_operator.hub.served_names import claimed_by
from skerry_operator.hub.site_namespace import SITE_ROLE, namespace_object, namespace_of, role_binding
from skerry_operator.hub.site_status import site_status
from skerry_operator.hub.sync_policy.claims import policy_for
from skerry_operator.hub.targets import ModelName
from skerry_operator.kube.errors import NotServedError
from skerry_operator.kube.resources import NAMESPACES, ROLE_BINDINGS, SITE_ASSIGNMENTS

_log = structlog.get_logger()
_PATROL = 60.0
_PATIENT = 10.0
_LEAST = 0.2


class SiteReconciler:
    """Ordered steps and one status write at the end."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._grants = (
            GrantKeeper(hub.kube, hub.store, hub.grants, partial(check_confinement, hub.store))
            if hub.grants and isinstance(hub.store, S3Store)
            else None
        )
        self._settled_in: set[str] = set()
        self._shut: set[str] = set()

    def __call__(self, key: Key) -> float | None:
        """Bring one site's part of the hub to where it should be."""
        site = self._hub.inventory.get(EdgeSite, key.name)
        if site is None or not site.spec.hub_accepts_client:
            self._shut_out(key.name)
        if site is None:
            return None
        trouble: Outcome | None = None
        again = _PATROL
        try:
            if site.spec.hub_accepts_client:
                self._let_in(key.name)
                again = self._grant(key.name, self._assign(site))
        except UserMustActError as error:
            trouble, again = Stalled(error.reason, str(error)), _PATIENT
        except WaitError as error:
            if isinstance(error, NotServedError):
                # Somebody deleted the site's namespace.
                self._settled_in.discard(key.name)
            trouble, again = Waiting(error.reason, str(error)), _PATIENT
        self._write_status(site, trouble)
        return max(min(again, self._until_silent(site), _PATROL), _LEAST)

    def _let_in(self, name: str) -> None:
        """Once in each life of this process, and again when the namespace turns out to be gone."""
        self._shut.discard(name)
        if name in self._settled_in:
            return
        self._hub.kube.apply(NAMESPACES, namespace_object(name))
        self._hub.kube.apply(ROLE_BINDINGS, role_binding(name))
        self._settled_in.add(name)

    def _shut_out(self, name: str) -> None:
        """Take the site's access away; its namespace, and what it was told, stay (law 2).

        Once in each life of this process: it isn't known what an earlier one had granted.
        """
        self._settled_in.discard(name)
        if name not in self._shut:
            self._hub.kube.delete(ROLE_BINDINGS, SITE_ROLE, namespace_of(name))
            self._shut.add(name)

    def _assign(self, site: EdgeSite) -> AssignmentDocument:
        name = site.metadata.name
        record = self._hub.inventory.record(name)
        current = record.document if record else None
        removed = {name_of(model) for model in self._hub.inventory.all(Model) if is_removed(model, site)}
        self._hub.targets.drop(name, removed)
        told = self._hub.targets.of(name)
        document = compose(
            site=name,
            current=current,
            told=told,
            removed=removed,
            held=record.held() if record else frozenset(),
            policies=self._policies(site),
            trust_policy=self._trust_policy(),
            sync_policy=self._sync_policy(site),
            feature_sets=self._feature_sets(current, told),
            runtime=self._runtime(site),
            serial=next_serial(
                self._hub.incarnation,
                (site.status.assigned_serial, record.assignment.spec.serial if record else None),
            ),
            now=self._hub.now(),
        )
        if document is not current:
            self._put(name, document)
        self._hub.targets.settle(name, {(entry.namespace, entry.name): target_of(entry) for entry in document.models})
        return document

    def _put(self, name: str, document: AssignmentDocument) -> None:
        spec = spec_of(seal_assignment(document, self._hub.hub_key), document)
        record = self._hub.inventory.record(name)
        metadata = {"name": ASSIGNMENT_NAME, "namespace": namespace_of(name)}
        body = {
            "apiVersion": SITE_ASSIGNMENTS.api_version,
            "kind": SITE_ASSIGNMENTS.kind,
            "metadata": metadata,
            "spec": spec.to_wire(),
        }
        if record is None:
            written = self._hub.kube.create(SITE_ASSIGNMENTS, body)
        else:
            # Reports change the version all the time; nobody but this process writes the spec. Not applied: what was
            # there when the object was created would stay in a list that is applied without it, or make it null.
            written = self._hub.kube.patch(
                SITE_ASSIGNMENTS, ASSIGNMENT_NAME, namespace_of(name), {"spec": body["spec"]}
            )
        self._hub.inventory.observe(SITE_ASSIGNMENTS, "MODIFIED", written)
        self._hub.dirty.mark(map(name_of, self._hub.inventory.all(Model)), [name])

    def _policies(self, site: EdgeSite) -> dict[tuple[str, str], ModelPolicy]:
        models = list(self._hub.inventory.all(Model))
        return {
            name_of(model): ModelPolicy(
                effective_model(model.metadata.name, model.spec).served_name,
                analysis_limits(model.spec.analysis),
                drift_limits(model.spec.drift) if model.spec.drift is not None else None,
            )
            for model in models
            if model.spec.site_selector.matches(site.metadata.labels) and claimed_by(model, models) is None
        }

    def _trust_policy(self) -> str:
        if (active := self._hub.trust.active) is None:
            raise WaitError("NoTrustPolicy", "no TrustPolicy counts yet: apply one that is signed with the policy key")
        return active.digest

    def _sync_policy(self, site: EdgeSite) -> str | None:
        """Digest of what the site's policy says, as far as it was published; a newer spec of it counts once it is."""
        policy = policy_for(site, self._hub.inventory.all(SyncPolicy))
        return policy.status.digest if policy else None

    def _feature_sets(
        self, current: AssignmentDocument | None, told: Mapping[ModelName, SiteTarget]
    ) -> dict[str, tuple[str, ...]]:
        """By digest of the manifest, those that can be read: a store that is away must not hold a swap back up."""
        targets = (*map(target_of, current.models if current else ()), *told.values())
        refs = {ref for target in targets for ref in (target.approved, target.target) if ref is not None}
        found = {}
        for digest in {ref.digest for ref in refs}:
            try:
                found[digest] = self._hub.trained_on.of(digest)
            except SkerryError as error:
                _log.warning("manifest can't be read", digest=digest, reason=error.reason, message=str(error))
        return found

    def _runtime(self, site: EdgeSite) -> RuntimeTemplate:
        site_class = self._hub.inventory.get(SiteClass, site.spec.site_class_name)
        if site_class is None:
            name = site.spec.site_class_name
            raise WaitError("NoSiteClass", f"no SiteClass {name}: create it or correct spec.siteClassName")
        return RuntimeTemplate(image=site_class.spec.image, resources=site_class.spec.resources or RuntimeResources())

    def _grant(self, name: str, document: AssignmentDocument) -> float:
        return self._grants.keep(name, document, self._hub.now()) if self._grants else _PATROL

    def _write_status(self, site: EdgeSite, trouble: Outcome | None) -> None:
        name = site.metadata.name
        status = site_status(
            site,
            self._hub.inventory.record(name),
            last_seen=self._hub.inventory.last_seen(name),
            max_age=self._max_age(site),
            trouble=trouble,
            credential_expires=self._hub.credentials.get(name),
            fed=self._fed(name),
            now=self._hub.now(),
        )
        self._hub.statuses.write(site, status)

    def _fed(self, name: str) -> Observation | None:
        """By what the site was told, which may be older than what policies and releases say now."""
        record = self._hub.inventory.record(name)
        if record is None or record.document is None:
            return None
        told, published = record.document, self._hub.published
        try:
            policy = DEFAULT_POLICY if told.sync_policy is None else published.policy(told.sync_policy)
            return features_fed(map(published.source, told.feature_sets), policy)
        except (SkerryError, ValueError) as error:
            reason = error.reason if isinstance(error, SkerryError) else "Unreadable"
            return Observation(FEATURES_FED, ConditionStatus.UNKNOWN, reason, str(error))

    def _max_age(self, site: EdgeSite) -> timedelta:
        """How old a report may be by the ring that takes the site."""
        rings = rings_of((), self._hub.inventory.all(RolloutRing))
        name = ring_of(site.metadata.labels, rings)
        taking = next((ring for ring in rings if ring.metadata.name == name), None)
        return effective_ring(taking.spec).evidence_max_age if taking else EVIDENCE_MAX_AGE

    def _until_silent(self, site: EdgeSite) -> float:
        last_seen = self._hub.inventory.last_seen(site.metadata.name)
        left = last_seen + self._max_age(site) - self._hub.now() if last_seen else timedelta(seconds=_PATROL)
        return left.total_seconds() + _LEAST if left > timedelta() else _PATROL
