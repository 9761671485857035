"""Model: plan the rollout of its releases, execute the plan, and say how it goes. One step at a time, until at rest."""

from skerry_api.conditions import Outcome, Progressing, Ready, Stalled, Waiting, conditions_for
from skerry_api.v1alpha1.model import Model, ModelStatus
from skerry_api.v1alpha1.rolloutring import RolloutRing
from skerry_operator.hub import release_status
from skerry_operator.hub.execute import Executor
from skerry_operator.hub.hub import Hub
from skerry_operator.hub.inventory import Key
from skerry_operator.hub.model_drift import DriftTally
from skerry_operator.hub.model_facts import drift_of, facts_of, holds_what_goes, name_of, releases_of, site_facts
from skerry_operator.hub.model_removal import RemovalTally
from skerry_operator.hub.rollout.defaults import effective_model
from skerry_operator.hub.rollout.facts import version_of
from skerry_operator.hub.rollout.ledger import Ledger
from skerry_operator.hub.rollout.ring_membership import policy_of, rings_of
from skerry_operator.hub.served_names import claimed_by
from skerry_operator.hub.targets import ModelName

# Whatever events were lost, a rollout is looked at this often.
_PATROL = 60.0
_LEAST = 0.2


class ModelReconciler:
    """Keeps one ledger and two tallies for each model. The queue never gives one model to two threads."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._ledgers: dict[ModelName, Ledger] = {}
        self._drift: dict[ModelName, DriftTally] = {}
        self._removals: dict[ModelName, RemovalTally] = {}

    def __call__(self, key: Key) -> float | None:
        """Bring one model's rollout a step further."""
        name = (key.namespace, key.name)
        model = self._hub.inventory.get(Model, key.name, key.namespace)
        if model is None:
            self._ledgers.pop(name, None)  # law 2: its sites keep what they have
            self._drift.pop(name, None)
            self._removals.pop(name, None)
            return None
        rings = rings_of(model.spec.rings, self._hub.inventory.all(RolloutRing))
        ledger = self._feed(model, rings)
        if blocked := self._blocked(model):
            self._write(model, blocked)
            return _PATROL
        commands = ledger.plan(self._hub.now())
        if commands:
            Executor(self._hub, model, ledger).run(commands)
            # What was written is in the inventory by now: plan again from there.
            return 0.0
        self._write_releases(ledger, name)
        self._write(model, _outcome(ledger))
        return self._next_look(ledger)

    def _blocked(self, model: Model) -> Outcome | None:
        """Why nothing of this model may go out."""
        if (owner := claimed_by(model, self._hub.inventory.all(Model))) is not None:
            taken = effective_model(model.metadata.name, model.spec).served_name
            return Stalled("ServedNameTaken", f"{taken!r} is served by Model {owner}: choose another spec.servedName")
        known = {ring.metadata.name for ring in self._hub.inventory.all(RolloutRing)}
        if missing := sorted(set(model.spec.rings) - known):
            return Waiting("RingMissing", f"no RolloutRing {', '.join(missing)}: create it or correct spec.rings")
        return None

    def _feed(self, model: Model, rings: tuple[RolloutRing, ...]) -> Ledger:
        name, now = name_of(model), self._hub.now()
        dirty = self._hub.dirty.take(name)
        facts, policies = facts_of(self._hub, model), tuple(map(policy_of, rings))
        ledger = self._ledgers.setdefault(name, Ledger(facts, policies))
        ledger.reframe(facts, policies, now)
        drift = self._drift.setdefault(name, DriftTally())
        removal = self._removals.setdefault(name, RemovalTally())
        for site in sorted(dirty):
            seen = site_facts(self._hub, model, rings, site)
            removal.feed(site, holds=holds_what_goes(self._hub, model, site))
            drift.feed(site, None if seen is None else drift_of(self._hub, name, site))
            if seen is None:
                ledger.drop(site)
            else:
                ledger.feed(seen, now)
        return ledger

    def _write_releases(self, ledger: Ledger, name: ModelName) -> None:
        now, candidate, current = self._hub.now(), ledger.candidate, ledger.model.approved
        facts = {fact.ref.release: fact for fact in ledger.model.releases}
        for release in releases_of(self._hub, name):
            fact = facts.get(release.metadata.name)
            if fact is None:
                continue
            tally = ledger.tally(fact.ref.digest)
            if candidate is not None and fact.ref == candidate.ref:
                status = release_status.under_way(release, fact, ledger.rings, tally, now)
            elif current is not None and fact.ref.digest == current.digest:
                status = release_status.approved(release, ledger.rings, tally, now)
            elif fact.started and (quarantine := ledger.model.quarantine_of(fact.ref.digest)):
                status = release_status.rolled_back(release, quarantine.reason, (), now)
            elif fact.paused and not fact.started and (current is None or fact.version > version_of(current)):
                status = release_status.paused_before_start(release, now)
            else:
                continue
            self._hub.statuses.write(release, status)

    def _write(self, model: Model, outcome: Outcome) -> None:
        generation = model.metadata.generation
        name = name_of(model)
        extra = (
            self._drift.get(name, DriftTally()).condition(),
            self._removals.get(name, RemovalTally()).condition(),
        )
        conditions = conditions_for(
            outcome,
            generation=generation,
            now=self._hub.now(),
            previous=model.status.conditions,
            extra=filter(None, extra),
        )
        update = {
            "observed_generation": generation,
            "conditions": conditions,
            "effective": effective_model(model.metadata.name, model.spec),
        }
        status: ModelStatus = model.status.model_copy(update=update)
        self._hub.statuses.write(model, status)

    def _next_look(self, ledger: Ledger) -> float:
        wake = ledger.next_wake()
        until = (wake - self._hub.now()).total_seconds() if wake else _PATROL
        return min(max(until, _LEAST), _PATROL)


def _outcome(ledger: Ledger) -> Outcome:
    approved, candidate = ledger.model.approved, ledger.candidate
    now = f"{approved.version} is approved" if approved else "nothing is approved yet"
    if candidate is not None:
        return Progressing("RollingOut", f"{now}; {candidate.ref.version} is going out")
    if approved is None:
        return Waiting("NoRelease", "no release that may go out: create a ModelRelease, or see why those there don't")
    return Ready("Approved", now)
