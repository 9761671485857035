"""A small world to plan in: sites with fates, and what the operator's shell does with commands."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from skerry_api.v1alpha1.modelrelease import FailedMetric, ReleasePhase
from skerry_api.v1alpha1.quarantine import QuarantineScope
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.assignment.document import ReleaseRef
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
from skerry_operator.hub.rollout.facts import (
    ModelFacts,
    QuarantineFacts,
    ReleaseFacts,
    RingPolicy,
    SiteFacts,
    SiteReport,
    SiteTarget,
)
from skerry_operator.hub.rollout.ledger import Ledger

START = datetime(2030, 1, 1, tzinfo=UTC)


def ref(version: str) -> ReleaseRef:
    """A release whose digest spells its version."""
    digest = "sha256:" + version.encode().hex().ljust(64, "0")
    return ReleaseRef(release=f"har-{version}", version=version, digest=digest, signature=digest)


def release(version: str, **fields) -> ReleaseFacts:
    return ReleaseFacts(ref(version), **fields)


def ring(name: str, **fields) -> RingPolicy:
    policy = RingPolicy(
        name=name,
        max_concurrency=10,
        max_failures=0,
        progress_deadline=timedelta(minutes=10),
        min_success_time=timedelta(seconds=30),
        min_reporting=100,
        evidence_max_age=timedelta(minutes=1),
    )
    return replace(policy, **fields)


def told(version: str, approved: str | None = None, quarantined=()) -> SiteTarget:
    return SiteTarget(
        ref(version), ref(approved) if approved else None, tuple(ref(each).digest for each in quarantined)
    )


def serving(version: str, *, lasting: float = 3600, quarantined=()) -> SiteReport:
    digest = ref(version).digest
    bad = tuple(ref(each).digest for each in quarantined)
    return SiteReport(ModelPhase.SERVING, digest, digest, timedelta(seconds=lasting), bad)


def rolled_back(version: str, to: str, metric: str = "disagreement") -> SiteReport:
    digest = ref(version).digest
    why = FailedMetric(name=metric, observed=0.3, limit=0.05)
    return SiteReport(ModelPhase.ROLLED_BACK, digest, ref(to).digest, timedelta(hours=1), (digest,), why)


@dataclass
class World:
    """One model, its rings and sites; `settle` plans and executes until there is nothing left to do."""

    model: ModelFacts
    rings: tuple[RingPolicy, ...]
    sites: dict[str, SiteFacts]
    now: datetime = START
    log: list[Command] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.model, self.rings)
        for site in self.sites.values():
            self.ledger.feed(site, self.now)

    def put(self, *sites: SiteFacts) -> None:
        for site in sites:
            self.sites[site.name] = site
            self.ledger.feed(site, self.now)

    def change(self, model: ModelFacts) -> None:
        self.model = model
        self.ledger.reframe(model, self.rings, self.now)

    def report(self, name: str, report: SiteReport) -> None:
        self.put(replace(self.sites[name], report=report, last_seen=self.now))

    def pass_time(self, seconds: float, *heard: str) -> None:
        """Let time pass; the named sites are heard from at its end."""
        self.now += timedelta(seconds=seconds)
        for name in heard:
            self.put(replace(self.sites[name], last_seen=self.now))

    def settle(self, rounds: int = 200) -> list[Command]:
        """Plan and execute until a plan is empty; everything that was asked for, in order."""
        asked: list[Command] = []
        for _ in range(rounds):
            commands = self.ledger.plan(self.now)
            if not commands:
                self.log += asked
                return asked
            asked += commands
            for command in commands:
                self.execute(command)
        raise AssertionError(f"no fixed point: {asked[-5:]}")

    def execute(self, command: Command) -> None:
        """What the shell makes of a command, on facts instead of objects."""
        model = self.model
        match command:
            case Assign(site, target):
                self.put(replace(self.sites[site], assigned=target))
            case Begin(begun):
                self.change(_with_release(model, begun, phase=ReleasePhase.PROGRESSING, started=True))
            case AdvanceRing(moved, name):
                done = next(each for each in model.releases if each.ref == moved).completed | {name}
                self.change(_with_release(model, moved, completed=done))
            case Approve(approved):
                model = replace(model, approved=approved, previous=model.approved)
                self.change(_with_release(model, approved, phase=ReleasePhase.APPROVED))
            case Supersede(older, _):
                self.change(_with_release(model, older, phase=ReleasePhase.SUPERSEDED))
            case RollBack(bad, metric):
                fact = QuarantineFacts(bad.digest, QuarantineScope.RELEASE, self.now, metric)
                older = next((q for q in model.quarantines if q.digest == bad.digest), fact)
                fact = replace(older, scope=QuarantineScope.RELEASE)
                others = tuple(q for q in model.quarantines if q.digest != bad.digest)
                model = replace(model, quarantines=(*others, fact))
                if model.approved == bad:
                    model = replace(model, approved=model.previous, previous=None)
                self.change(_with_release(model, bad, phase=ReleasePhase.ROLLED_BACK))
            case QuarantineAtSite(bad, site, metric):
                fact = QuarantineFacts(bad.digest, QuarantineScope.SITE, self.now, metric)
                older = next((q for q in model.quarantines if q.digest == bad.digest), fact)
                fact = replace(older, sites=older.sites | {site})
                others = tuple(q for q in model.quarantines if q.digest != bad.digest)
                self.change(replace(model, quarantines=(*others, fact)))

    def versions(self) -> dict[str, str | None]:
        return {name: site.assigned.target.version if site.assigned else None for name, site in self.sites.items()}

    def phases(self) -> dict[str, ReleasePhase]:
        return {each.ref.version: each.phase for each in self.model.releases}


def _with_release(model: ModelFacts, wanted: ReleaseRef, **fields) -> ModelFacts:
    releases = tuple(replace(each, **fields) if each.ref == wanted else each for each in model.releases)
    return replace(model, releases=releases)
