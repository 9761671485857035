"""Executes a plan's commands. Durable things first, so that a crash in between leaves something to plan from."""

from collections.abc import Iterable

from skerry_api.v1alpha1.model import ApprovedRelease, Model
from skerry_api.v1alpha1.modelrelease import FailedMetric, ModelRelease
from skerry_core.assignment.document import ReleaseRef
from skerry_operator.hub import release_status
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.model_facts import name_of
from skerry_operator.hub.reconcile.quarantine import quarantine_release
from skerry_operator.hub.rollout.commands import (
    AdvanceRing,
    Approve,
    Assign,
    Begin,
    Command,
    QuarantineAtSite,
    RollBack,
    Supersede,
)
from skerry_operator.hub.rollout.ledger import Ledger
from skerry_operator.kube.resources import EDGE_SITES


class Executor:
    """One plan of one model."""

    def __init__(self, hub: Hub, model: Model, ledger: Ledger) -> None:
        self._hub = hub
        self._name = name_of(model)
        self._ledger = ledger

    def run(self, commands: Iterable[Command]) -> None:
        """Execute in order; an error leaves the rest for the next plan."""
        for command in commands:
            match command:
                case Assign(site, told):
                    self._hub.targets.tell(site, self._name, told)
                    self._hub.dirty.mark([self._name], [site])
                    self._hub.enqueue(Key(EDGE_SITES, "", site), 0)
                case Begin(release):
                    self._begin(release)
                case AdvanceRing(release, ring):
                    self._advance(release, ring)
                case Approve(release):
                    self._approve(release)
                case Supersede(release, by):
                    self._supersede(release, by)
                case QuarantineAtSite(release, site, metric):
                    quarantine_release(self._hub, self._name, release, metric, site=site)
                case RollBack(release, metric):
                    self._roll_back(release, metric)

    def _begin(self, release: ReleaseRef) -> None:
        if (found := self._release(release)) is not None:
            self._hub.statuses.write(found, release_status.begun(found, self._hub.now()))

    def _advance(self, release: ReleaseRef, ring: str) -> None:
        if (found := self._release(release)) is None:
            return
        tally, now = self._ledger.tally(release.digest), self._hub.now()
        rings = release_status.ring_progress(self._ledger.rings, tally, found.status.rings, now, {ring})
        self._hub.statuses.write(found, found.status.model_copy(update={"rings": rings}))

    def _approve(self, release: ReleaseRef) -> None:
        found, model = self._release(release), self._model()
        if found is None or model is None:
            return
        now = self._hub.now()
        approved = ApprovedRelease(
            release=release.release,
            version=release.version,
            digest=release.digest,
            signature=release.signature,
            storage_uri=found.spec.storage_uri,
            approved_at=now,
        )
        # The Model first: a release that says Approved while the Model doesn't know it would have no way forward.
        update = {"approved": approved, "previous": model.status.approved}
        self._hub.statuses.write(model, model.status.model_copy(update=update))
        status = release_status.approved(found, self._ledger.rings, self._ledger.tally(release.digest), now)
        self._hub.statuses.write(found, status)

    def _supersede(self, release: ReleaseRef, by: ReleaseRef) -> None:
        if (found := self._release(release)) is not None:
            self._hub.statuses.write(found, release_status.superseded(found, by, self._hub.now()))

    def _roll_back(self, release: ReleaseRef, metric: FailedMetric) -> None:
        quarantine_release(self._hub, self._name, release, metric)
        model, now = self._model(), self._hub.now()
        if model is not None and model.status.approved and model.status.approved.digest == release.digest:
            update = {"approved": model.status.previous, "previous": None}
            self._hub.statuses.write(model, model.status.model_copy(update=update))
        if (found := self._release(release)) is not None:
            tally = self._ledger.tally(release.digest)
            rings = release_status.ring_progress(self._ledger.rings, tally, found.status.rings, now) if tally else ()
            self._hub.statuses.write(found, release_status.rolled_back(found, metric, rings, now))

    def _release(self, release: ReleaseRef) -> ModelRelease | None:
        """The object as it is now; None if it was deleted meanwhile, or made anew with other content."""
        found = self._hub.inventory.get(ModelRelease, release.release, self._name[0])
        return found if found is not None and found.spec.digest == release.digest else None

    def _model(self) -> Model | None:
        return self._hub.inventory.get(Model, self._name[1], self._name[0])
