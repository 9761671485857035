"""What a rollout is decided from: frozen facts about releases, rings and sites. Times are the hub's clock."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache

import semver

from skerry_api.v1alpha1.modelrelease import FailedMetric, ReleasePhase
from skerry_api.v1alpha1.quarantine import QuarantineScope
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_core.assignment.document import ReleaseRef


@dataclass(frozen=True, slots=True)
class RingPolicy:
    """A ring with every default resolved; `min_reporting` in percent."""

    name: str
    max_concurrency: int
    max_failures: int
    progress_deadline: timedelta
    min_success_time: timedelta
    min_reporting: int
    evidence_max_age: timedelta


@dataclass(frozen=True, slots=True)
class SiteTarget:
    """What one site is told about one model; the fields mean what they mean in ModelAssignment."""

    target: ReleaseRef
    approved: ReleaseRef | None
    quarantined: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteReport:
    """What one site last said about one model; `serving_for` is measured by the site's own clock alone."""

    phase: ModelPhase
    target_digest: str | None = None
    serving_digest: str | None = None
    serving_for: timedelta = timedelta()
    quarantined: tuple[str, ...] = ()
    failed_metric: FailedMetric | None = None
    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """One site as one model's rollout sees it; `ring` is None for a site that no ring of the model takes."""

    name: str
    ring: str | None
    hold: bool = False
    last_seen: datetime | None = None
    assigned: SiteTarget | None = None
    report: SiteReport | None = None

    def reachable(self, policy: RingPolicy, now: datetime) -> bool:
        """Tell whether its evidence is young enough to count."""
        return self.last_seen is not None and now - self.last_seen <= policy.evidence_max_age

    def runs(self, digest: str) -> bool:
        """Tell whether the site was told to serve this release."""
        return self.assigned is not None and self.assigned.target.digest == digest


@dataclass(frozen=True, slots=True)
class ReleaseFacts:
    """One release that was verified; `completed` names the rings that it has passed."""

    ref: ReleaseRef
    phase: ReleasePhase = ReleasePhase.PENDING
    paused: bool = False
    started: bool = False
    completed: frozenset[str] = frozenset()

    @property
    def version(self) -> semver.Version:
        """For ordering: 1.10.0 is newer than 1.9.0."""
        return _parse(self.ref.version)


@dataclass(frozen=True, slots=True)
class QuarantineFacts:
    """A digest that may not run: at `sites`, or anywhere if the scope is `release`."""

    digest: str
    scope: QuarantineScope
    since: datetime
    reason: FailedMetric
    sites: frozenset[str] = frozenset()

    def covers(self, site: str) -> bool:
        """Tell whether it holds at a site."""
        return self.scope is QuarantineScope.RELEASE or site in self.sites


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model: what is approved, what was before, its verified releases and the quarantines of its digests."""

    namespace: str
    name: str
    approved: ReleaseRef | None = None
    previous: ReleaseRef | None = None
    releases: tuple[ReleaseFacts, ...] = ()
    quarantines: tuple[QuarantineFacts, ...] = ()

    def quarantine_of(self, digest: str) -> QuarantineFacts | None:
        """The quarantine that keeps a digest from every site, if there is one."""
        for quarantine in self.quarantines:
            if quarantine.digest == digest and quarantine.scope is QuarantineScope.RELEASE:
                return quarantine
        return None

    def blocked_at(self, site: SiteFacts) -> frozenset[str]:
        """Digests that may not run at a site: by quarantine, or because the site itself judged them bad."""
        listed = {quarantine.digest for quarantine in self.quarantines if quarantine.covers(site.name)}
        return frozenset(listed | set(site.report.quarantined if site.report else ()))

    def known(self) -> Iterable[ReleaseRef]:
        """Every release that can still be named, those pruned in Git but kept in status included."""
        yield from (release.ref for release in self.releases)
        yield from filter(None, (self.approved, self.previous))

    def phase_of(self, digest: str) -> ReleasePhase | None:
        """The phase of a release by digest; None for one that was deleted."""
        return next((release.phase for release in self.releases if release.ref.digest == digest), None)


def version_of(ref: ReleaseRef) -> semver.Version:
    """A reference's version, for ordering."""
    return _parse(ref.version)


@cache
def _parse(version: str) -> semver.Version:
    return semver.Version.parse(version)
