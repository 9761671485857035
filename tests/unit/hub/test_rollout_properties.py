"""Laws of the rollout, held against whatever order of events Hypothesis can think of."""

import random
from dataclasses import replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.modelrelease import FailedMetric, ReleasePhase
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_operator.hub.rollout.commands import AdvanceRing, Approve, Assign
from skerry_operator.hub.rollout.facts import ModelFacts, SiteFacts, SiteReport
from skerry_operator.hub.rollout.fold import SiteState, Standing, fold, recount, state_of
from skerry_operator.hub.rollout.targets import choose_candidate
from tests.unit.hub.rollout_world import START, World, ref, release, ring, rolled_back, serving

NAMES = [f"site-{index}" for index in range(6)]
RINGS = ("internal", "fleet")

states = st.builds(
    SiteState,
    site=st.sampled_from(NAMES),
    ring=st.sampled_from(RINGS),
    standing=st.sampled_from([each for each in Standing if each is not Standing.FAILED]),
) | st.builds(
    SiteState,
    site=st.sampled_from(NAMES),
    ring=st.sampled_from(RINGS),
    standing=st.just(Standing.FAILED),
    failure=st.builds(FailedMetric, name=st.sampled_from(["disagreement", "latency"])),
    judged=st.booleans(),
)


@given(st.lists(states | st.sampled_from(NAMES)))
def test_folding_changes_in_any_order_equals_a_recount(changes):
    current, tally = {}, recount(())
    for change in changes:
        name, after = (change, None) if isinstance(change, str) else (change.site, change)
        tally = fold(tally, current.get(name), after)
        tally = fold(tally, after, after)
        current = {**current, name: after}
    assert tally == recount(state for state in current.values() if state)


site_events = st.tuples(
    st.sampled_from(NAMES), st.sampled_from(["good", "bad", "busy", "refused", "hold", "free", "away"])
)
world_events = st.sampled_from(["tick", "hour", "release", "pause", "resume", "prune"])
policies = st.builds(
    lambda concurrency, failures, reporting: {
        "max_concurrency": concurrency,
        "max_failures": failures,
        "min_reporting": reporting,
    },
    st.integers(1, 3),
    st.integers(0, 2),
    st.integers(1, 100),
)


def play(world: World, event) -> None:
    match event:
        case (name, "hold" | "free" as word):
            world.put(replace(world.sites[name], hold=word == "hold"))
        case (name, "away"):
            world.put(replace(world.sites[name], last_seen=None))
        case (name, outcome):
            site = world.sites[name]
            if site.assigned is None:
                world.put(replace(site, last_seen=world.now))
                return
            version = site.assigned.target.version
            back = site.assigned.approved.version if site.assigned.approved else version
            judged = site.report.quarantined if site.report else ()
            report = {
                "good": serving(version),
                "bad": rolled_back(version, to=back),
                "busy": SiteReport(ModelPhase.CANARY, ref(version).digest, ref(back).digest),
                "refused": SiteReport(ModelPhase.REFUSED, ref(version).digest, ref(back).digest, reason="LoadFailed"),
            }[outcome]
            # A site doesn't forget what it judged bad.
            bad = tuple(dict.fromkeys((*judged, *report.quarantined)))
            if ref(version).digest in judged:
                report = replace(report, phase=ModelPhase.ROLLED_BACK, serving_digest=ref(back).digest)
            world.report(name, replace(report, quarantined=bad))
        case "tick" | "hour":
            world.pass_time(3600 if event == "hour" else 20)
        case "release":
            newest = release(f"1.{len(world.model.releases)}.0")
            world.change(replace(world.model, releases=(*world.model.releases, newest)))
        case "pause" | "resume":
            releases = tuple(replace(each, paused=event == "pause") for each in world.model.releases)
            world.change(replace(world.model, releases=releases))
        case "prune":
            world.change(replace(world.model, releases=world.model.releases[1:]))


def check_commands(world: World, commands) -> None:
    candidate = choose_candidate(world.model)
    tally = world.ledger.tally(candidate.ref.digest) if candidate else {}
    policies = {policy.name: policy for policy in world.rings}
    admitted = dict.fromkeys(policies, 0)
    for command in commands:
        match command:
            case Assign(name, target):
                site = world.sites[name]
                changed = site.assigned is None or site.assigned.target != target.target
                assert not changed or target.target.digest not in world.model.blocked_at(site)
                if candidate and target.target == candidate.ref and not site.runs(candidate.ref.digest):
                    assert not site.hold
                    assert not candidate.paused
                    admitted[site.ring] += 1
            case AdvanceRing(_, name):
                if name in tally:
                    assert len(tally[name].failures) <= policies[name].max_failures
                    assert tally[name].count(Standing.SUCCEEDED) > 0
            case Approve(_):
                assert sum(each.count(Standing.SUCCEEDED) for each in tally.values()) > 0
    for name, policy in policies.items():
        if admitted[name]:
            assert tally[name].count(Standing.PROGRESSING) + admitted[name] <= policy.max_concurrency


def check_ledger(world: World) -> None:
    """The account that was fed change by change is the one that counting every site again gives."""
    world.ledger.wake(world.now)
    policies = {policy.name: policy for policy in world.rings}
    candidate = choose_candidate(world.model)
    for watched in filter(None, (candidate.ref if candidate else None, world.model.approved)):
        spent = {name: world.ledger.time_spent(name, watched.digest, world.now) for name in world.sites}
        assert world.ledger.tally(watched.digest) == recount(
            state_of(site, world.model, watched.digest, policies[site.ring], spent[name], world.now)
            for name, site in world.sites.items()
        )


@settings(max_examples=60, deadline=None)
@given(policy=policies, events=st.lists(site_events | world_events, max_size=40))
# A site whose last time was forgotten while its clock ran.
@example(
    policy={"max_concurrency": 1, "max_failures": 0, "min_reporting": 1},
    events=[("site-0", "good"), "prune", ("site-0", "away"), "release", "hour"],
)
def test_every_plan_keeps_the_laws_and_comes_to_rest(policy, events):
    rings = tuple(ring(name, **policy) for name in RINGS)
    sites = {name: SiteFacts(name, RINGS[index % 2], last_seen=START) for index, name in enumerate(NAMES)}
    world = World(ModelFacts("factory", "har", None, None, (release("1.0.0"),)), rings, sites)
    for event in events:
        play(world, event)
        for _ in range(50):
            commands = world.ledger.plan(world.now)
            assert commands == world.ledger.plan(world.now)
            check_commands(world, commands)
            for command in commands:
                world.execute(command)
            check_ledger(world)
            if not commands:
                break
        else:
            pytest.fail("no fixed point")


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(("fault_rate", "ends"), [(0.0, ReleasePhase.APPROVED), (0.3, ReleasePhase.ROLLED_BACK)])
def test_two_hundred_sites_with_outages(seed, fault_rate, ends):
    """Sites come and go; a good release reaches all that can be reached, a bad one leaves none behind."""
    chance = random.Random(seed)
    rings = (ring("internal", max_concurrency=3), ring("region", max_concurrency=20), ring("fleet", max_concurrency=50))
    places = ["internal"] * 5 + ["region"] * 45 + ["fleet"] * 150
    sites = {f"site-{n:03}": SiteFacts(f"site-{n:03}", place, last_seen=START) for n, place in enumerate(places)}
    world = World(ModelFacts("factory", "har", None, None, (release("1.0.0"),)), rings, sites)
    bad = {name for name in sites if chance.random() < fault_rate}
    for version in ("1.0.0", "1.1.0"):
        if version == "1.1.0":
            world.change(replace(world.model, releases=(*world.model.releases, release(version))))
        for _ in range(40):
            world.pass_time(30)
            for name in sorted(sites):
                if chance.random() < 0.15:
                    continue  # away this time
                told = world.sites[name].assigned
                if told is None:
                    world.put(replace(world.sites[name], last_seen=world.now))
                elif told.target.version == "1.1.0" and name in bad:
                    world.report(name, rolled_back("1.1.0", to="1.0.0"))
                else:
                    world.report(name, serving(told.target.version))
            commands = world.ledger.plan(world.now)
            check_commands(world, commands)
            for command in commands:
                world.execute(command)
    assert world.phases()["1.1.0"] is ends
    world.settle()
    expected = "1.1.0" if ends is ReleasePhase.APPROVED else "1.0.0"
    assert set(world.versions().values()) == {expected}
