"""The running account of one model's rollout: each site's state, the tallies, and the sites that need a command.

It is fed one site at a time, so that a change of one site costs the same among ten sites as among a hundred thousand.
No I/O and no clock; it holds nothing that feeding it every site again wouldn't bring back, but for the time that sites
have spent on a release (after a restart of the hub they get their whole deadline again).
"""

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from skerry_operator.hub.rollout.commands import Command
from skerry_operator.hub.rollout.facts import ModelFacts, RingPolicy, SiteFacts
from skerry_operator.hub.rollout.fold import SiteState, Tally, fold, state_of
from skerry_operator.hub.rollout.plan import plan, unquarantined
from skerry_operator.hub.rollout.targets import choose_candidate, settled


@dataclass(frozen=True, slots=True)
class Clock:
    """How long a site was reachable since it was told to serve `digest`; `since` is None while it is away."""

    digest: str
    spent: timedelta = timedelta()
    since: datetime | None = None

    def at(self, now: datetime) -> timedelta:
        """Time on the release up to now."""
        return self.spent + (max(now - self.since, timedelta()) if self.since else timedelta())


class Ledger:
    """One model's account. Not safe for threads: its owner feeds it and plans from it in turn."""

    def __init__(self, model: ModelFacts, rings: Sequence[RingPolicy]) -> None:
        self._frame(model, rings)
        self._sites: dict[str, SiteFacts] = {}
        self._clocks: dict[str, Clock] = {}
        self._states: dict[tuple[str, str], SiteState] = {}
        self._tallies: dict[str, Tally] = {}
        self._asking: set[str] = set()
        self._due: list[tuple[datetime, str]] = []

    def tally(self, digest: str) -> Tally:
        """The counts for one watched release, by ring."""
        return self._tallies.get(digest, {})

    def site(self, name: str) -> SiteFacts | None:
        """One site as last fed."""
        return self._sites.get(name)

    def time_spent(self, name: str, digest: str, now: datetime) -> timedelta:
        """How long a site was reachable since it was told to serve a release."""
        clock = self._clocks.get(name)
        return clock.at(now) if clock and clock.digest == digest else timedelta()

    def reframe(self, model: ModelFacts, rings: Sequence[RingPolicy], now: datetime) -> None:
        """Take new facts about the model or its rings; if there are any, count every site again."""
        if model == self.model and tuple(rings) == self.rings:
            return
        self._frame(model, rings)
        self._states, self._tallies, self._due, self._asking = {}, {}, [], set()
        for site in list(self._sites.values()):
            self.feed(site, now)

    def feed(self, site: SiteFacts, now: datetime) -> None:
        """Take one site's newest facts."""
        self._sites[site.name] = site
        policy = self._policies.get(site.ring or "")
        self._run_clock(site, policy, now)
        for digest in self._watched:
            spent = self.time_spent(site.name, digest, now)
            after = state_of(site, self.model, digest, policy, spent, now) if policy else None
            self._count(digest, site.name, after)
        self._mark(site)

    def drop(self, name: str) -> None:
        """Forget a site that the model isn't for any more."""
        if self._sites.pop(name, None) is None:
            return
        for digest in self._watched:
            self._count(digest, name, None)
        self._clocks.pop(name, None)
        self._asking.discard(name)

    def wake(self, now: datetime) -> None:
        """Look again at the sites whose state has changed by the clock alone."""
        woken = set()
        while self._due and self._due[0][0] <= now:
            woken.add(heapq.heappop(self._due)[1])
        for name in sorted(woken & self._sites.keys()):
            self.feed(self._sites[name], now)

    def next_wake(self) -> datetime | None:
        """When `wake` has something to do."""
        return self._due[0][0] if self._due else None

    def plan(self, now: datetime) -> list[Command]:
        """What to do now; see `skerry_operator.hub.rollout.plan`."""
        self.wake(now)
        asking: Iterable[SiteFacts] = (self._sites[name] for name in self._asking)
        return plan(self.model, self.rings, self._tallies, asking, now)

    def _frame(self, model: ModelFacts, rings: Sequence[RingPolicy]) -> None:
        self.model, self.rings = model, tuple(rings)
        self.candidate = choose_candidate(model)
        self._policies = {policy.name: policy for policy in rings}
        refs = (self.candidate.ref if self.candidate else None, model.approved)
        # What is counted: the candidate, and the approved release, which can still turn out bad.
        self._watched = tuple(dict.fromkeys(ref.digest for ref in refs if ref))

    def _count(self, digest: str, site: str, after: SiteState | None) -> None:
        before = self._states.pop((digest, site), None)
        if after is not None:
            self._states[digest, site] = after
            if after.until is not None and (before is None or before.until != after.until):
                # A site is due a moment after its evidence has aged, as "not older than" includes the limit itself.
                heapq.heappush(self._due, (after.until + timedelta(milliseconds=1), site))
        self._tallies[digest] = fold(self._tallies.get(digest, {}), before, after)

    def _run_clock(self, site: SiteFacts, policy: RingPolicy | None, now: datetime) -> None:
        """Run the site's clock on its release while it is reachable; what it had spent when it went away is kept."""
        if site.assigned is None or policy is None:
            self._clocks.pop(site.name, None)
            return
        digest = site.assigned.target.digest
        clock = self._clocks.get(site.name)
        if clock is None or clock.digest != digest:
            clock = Clock(digest)
        if site.reachable(policy, now):
            clock = clock if clock.since else replace(clock, since=now)
        elif clock.since:
            # Its last time may be forgotten (an EdgeSite made anew); then what it spent since `since` isn't known.
            clock = Clock(digest, clock.at(site.last_seen) if site.last_seen else clock.spent)
        self._clocks[site.name] = clock

    def _mark(self, site: SiteFacts) -> None:
        """Keep the short list of sites that a plan must look at."""
        candidate = self.candidate
        told = settled(site, self.model, candidate)
        astray = told is not None and told != site.assigned
        waiting = candidate is not None and site.ring is not None and not site.runs(candidate.ref.digest)
        if astray or waiting or next(unquarantined(site, self.model), None) is not None:
            self._asking.add(site.name)
        else:
            self._asking.discard(site.name)
