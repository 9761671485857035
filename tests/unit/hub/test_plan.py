from dataclasses import replace
from datetime import timedelta

import pytest

from skerry_api.v1alpha1.modelrelease import FailedMetric, ReleasePhase
from skerry_api.v1alpha1.quarantine import MAX_SITES, QuarantineScope
from skerry_api.v1alpha1.siteassignment import ModelPhase
from skerry_operator.hub.rollout.commands import AdvanceRing, Approve, Assign, QuarantineAtSite, RollBack, Supersede
from skerry_operator.hub.rollout.facts import ModelFacts, QuarantineFacts, SiteFacts, SiteReport
from skerry_operator.hub.rollout.progress import progress_of
from tests.unit.hub.rollout_world import START, World, ref, release, ring, rolled_back, serving, told

INTERNAL, FLEET = ring("internal"), ring("fleet")


def site(name: str, ring_name: str | None, **fields) -> SiteFacts:
    return SiteFacts(name, ring_name, **({"last_seen": START} | fields))


def two_sites(*releases, approved: str | None = None, **sites) -> World:
    """site-a in ring internal, site-b in ring fleet; both reachable, both serving what is approved."""
    model = ModelFacts("factory", "har", ref(approved) if approved else None, None, releases)
    has = {"assigned": told(approved, approved), "report": serving(approved)} if approved else {}
    places = {"site-a": "internal", "site-b": "fleet"}
    facts = {name: site(name, place, **(has | sites.get(name.replace("-", "_"), {}))) for name, place in places.items()}
    return World(model, (INTERNAL, FLEET), facts)


def progress(world: World, version: str):
    candidate = next(each for each in world.model.releases if each.ref.version == version)
    return progress_of(candidate, world.rings, world.ledger.tally(candidate.ref.digest))


def test_a_first_release_goes_ring_by_ring_without_a_way_back():
    world = two_sites(release("1.0.0"))
    world.settle()
    assert world.versions() == {"site-a": "1.0.0", "site-b": None}
    assert world.sites["site-a"].assigned == told("1.0.0")
    world.report("site-a", serving("1.0.0"))
    world.settle()
    assert world.versions() == {"site-a": "1.0.0", "site-b": "1.0.0"}
    world.report("site-b", serving("1.0.0"))
    world.settle()
    assert world.phases() == {"1.0.0": ReleasePhase.APPROVED}
    assert world.model.approved == ref("1.0.0")
    assert world.sites["site-b"].assigned == told("1.0.0", "1.0.0")


def test_success_must_last():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", serving("1.1.0", lasting=29))
    assert world.settle() == []
    world.report("site-a", serving("1.1.0", lasting=30))
    assert AdvanceRing(ref("1.1.0"), "internal") in world.settle()


@pytest.mark.parametrize(
    "report",
    [
        SiteReport(ModelPhase.CANARY, ref("1.1.0").digest, ref("1.0.0").digest, timedelta(hours=1)),
        SiteReport(ModelPhase.SERVING, ref("1.0.0").digest, ref("1.0.0").digest, timedelta(hours=1)),
        SiteReport(ModelPhase.STALLED, ref("1.1.0").digest, ref("1.0.0").digest, reason="StoreUnavailable"),
        SiteReport(ModelPhase.DOWNLOADING, ref("1.1.0").digest, ref("1.0.0").digest),
    ],
)
def test_nothing_but_serving_the_target_is_success(report):
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", report)
    assert world.settle() == []


def test_a_bad_release_comes_back_and_the_next_ring_never_gets_it():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", rolled_back("1.1.0", to="1.0.0"))
    asked = world.settle()
    assert [type(command) for command in asked[:2]] == [QuarantineAtSite, RollBack]
    assert asked[1].metric.name == "disagreement"
    assert asked[1].metric.site == "site-a"
    assert world.phases() == {"1.1.0": ReleasePhase.ROLLED_BACK}
    assert world.sites["site-a"].assigned == told("1.0.0", "1.0.0", quarantined=["1.1.0"])
    assert world.sites["site-b"].assigned == told("1.0.0", "1.0.0", quarantined=["1.1.0"])


def test_a_refusal_fails_the_ring_but_quarantines_nothing_at_the_site():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    refused = SiteReport(ModelPhase.REFUSED, ref("1.1.0").digest, ref("1.0.0").digest, reason="VersionTooOld")
    world.report("site-a", refused)
    asked = world.settle()
    assert not [command for command in asked if isinstance(command, QuarantineAtSite)]
    assert asked[0] == RollBack(ref("1.1.0"), FailedMetric(name="VersionTooOld", site="site-a"))


def test_an_unreachable_site_neither_fails_nor_counts_and_the_ring_waits():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", serving("1.1.0"))
    world.settle()
    world.pass_time(3600, "site-a")
    assert world.settle() == []
    assert world.phases() == {"1.1.0": ReleasePhase.PROGRESSING}
    assert progress(world, "1.1.0").reason == "WaitingForSites"
    assert "1 unreachable" in progress(world, "1.1.0").message


def test_unreachable_sites_do_not_jam_a_ring_that_has_others():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.put(site("site-c", "internal", last_seen=None, assigned=told("1.0.0", "1.0.0")))
    world.settle()
    world.report("site-a", serving("1.1.0"))
    assert AdvanceRing(ref("1.1.0"), "internal") in world.settle()
    assert world.versions()["site-c"] == "1.0.0"


def test_what_a_site_judged_while_away_takes_an_approved_release_back_everywhere():
    world = two_sites(release("1.4.0"), approved="1.1.0")
    world.put(site("site-c", "fleet", assigned=told("1.1.0", "1.1.0"), report=serving("1.1.0")))
    for name in ("site-a", "site-b"):
        world.settle()
        world.report(name, serving("1.4.0"))
        world.pass_time(50, "site-a", "site-b")
    world.pass_time(50, "site-a", "site-b")
    world.settle()
    assert world.phases() == {"1.4.0": ReleasePhase.APPROVED}
    world.report("site-c", rolled_back("1.4.0", to="1.1.0"))
    world.settle()
    assert world.phases() == {"1.4.0": ReleasePhase.ROLLED_BACK}
    assert world.model.approved == ref("1.1.0")
    assert set(world.versions().values()) == {"1.1.0"}
    assert world.sites["site-a"].assigned.quarantined == (ref("1.4.0").digest,)


def test_a_site_that_comes_back_with_a_verdict_ends_the_release_in_mid_rollout():
    world = two_sites(release("1.4.0"), approved="1.1.0")
    world.settle()
    world.report("site-a", serving("1.4.0"))
    world.settle()
    assert world.versions() == {"site-a": "1.4.0", "site-b": "1.4.0"}
    world.pass_time(600, "site-a")
    assert world.settle() == []
    world.report("site-b", rolled_back("1.4.0", to="1.1.0", metric="guardrails"))
    world.settle()
    assert world.phases() == {"1.4.0": ReleasePhase.ROLLED_BACK}
    assert world.sites["site-a"].assigned == told("1.1.0", "1.1.0", quarantined=["1.4.0"])


def test_a_late_joiner_gets_the_approved_release():
    world = two_sites(approved="1.0.0")
    world.put(site("site-c", "fleet", last_seen=None))
    assert world.settle() == [Assign("site-c", told("1.0.0", "1.0.0"))]


def test_a_late_joiner_of_a_passed_ring_gets_the_release_that_passed_it():
    world = two_sites(release("1.1.0"), approved="1.0.0", site_b={"last_seen": None})
    world.settle()
    world.report("site-a", serving("1.1.0"))
    world.settle()
    world.put(site("site-c", "internal"))
    world.settle()
    assert world.sites["site-c"].assigned == told("1.1.0", "1.0.0")


def test_a_newcomers_refusal_of_the_approved_release_is_its_own_affair():
    world = two_sites(release("1.0.0", phase=ReleasePhase.APPROVED), approved="1.0.0")
    world.put(site("site-c", "fleet", assigned=told("1.0.0", "1.0.0")))
    world.report("site-c", SiteReport(ModelPhase.REFUSED, ref("1.0.0").digest, reason="DiskTooSmall"))
    assert world.settle() == []


def test_a_held_site_keeps_what_it_has():
    world = two_sites(release("1.1.0"), approved="1.0.0", site_a={"hold": True})
    world.settle()
    assert world.versions() == {"site-a": "1.0.0", "site-b": "1.0.0"}
    assert progress(world, "1.1.0").reason == "WaitingForSites"
    assert "1 on hold" in progress(world, "1.1.0").message


def test_a_held_site_swaps_a_quarantined_release_back():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.put(replace(world.sites["site-a"], hold=True))
    world.report("site-a", rolled_back("1.1.0", to="1.0.0"))
    world.settle()
    assert world.sites["site-a"].assigned == told("1.0.0", "1.0.0", quarantined=["1.1.0"])


def test_a_release_paused_before_it_began_does_not_begin():
    world = two_sites(release("1.1.0", paused=True), approved="1.0.0")
    assert world.settle() == []


def test_a_release_paused_in_mid_rollout_stands_still_and_goes_on():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    paused = replace(world.model.releases[0], paused=True)
    world.change(replace(world.model, releases=(paused,)))
    world.report("site-a", serving("1.1.0"))
    assert world.settle() == []
    assert world.versions() == {"site-a": "1.1.0", "site-b": "1.0.0"}
    assert progress(world, "1.1.0").reason == "Paused"
    world.change(replace(world.model, releases=(replace(paused, paused=False),)))
    world.settle()
    assert world.versions()["site-b"] == "1.1.0"


def test_a_newer_release_takes_over_and_sites_wait_for_it_with_what_they_have():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", serving("1.1.0"))
    world.settle()
    world.report("site-b", serving("1.1.0", lasting=1))
    world.change(replace(world.model, releases=(*world.model.releases, release("1.2.0"))))
    assert Supersede(ref("1.1.0"), ref("1.2.0")) in world.settle()
    assert world.versions() == {"site-a": "1.2.0", "site-b": "1.1.0"}


def test_after_a_failed_successor_sites_of_the_superseded_release_go_back_to_the_approved():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", serving("1.1.0"))
    world.settle()
    world.change(replace(world.model, releases=(*world.model.releases, release("1.2.0"))))
    world.settle()
    world.report("site-a", rolled_back("1.2.0", to="1.1.0"))
    world.settle()
    assert world.phases() == {"1.1.0": ReleasePhase.SUPERSEDED, "1.2.0": ReleasePhase.ROLLED_BACK}
    assert world.versions() == {"site-a": "1.0.0", "site-b": "1.0.0"}


def test_versions_are_compared_as_versions():
    world = two_sites(release("1.9.0"), release("1.10.0"), approved="1.0.0")
    world.settle()
    assert world.phases() == {"1.9.0": ReleasePhase.SUPERSEDED, "1.10.0": ReleasePhase.PROGRESSING}


def test_an_older_release_than_the_approved_one_never_goes_out():
    world = two_sites(release("0.9.0"), approved="1.0.0")
    assert world.settle() == [Supersede(ref("0.9.0"), ref("1.0.0"))]


def test_a_release_deleted_in_mid_rollout_changes_nothing_at_sites():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.change(replace(world.model, releases=()))
    assert world.settle() == []
    assert world.versions() == {"site-a": "1.1.0", "site-b": "1.0.0"}


def test_the_approved_release_may_be_pruned():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.report("site-a", serving("1.1.0"))
    world.settle()
    world.report("site-b", rolled_back("1.1.0", to="1.0.0"))
    world.settle()
    assert world.versions() == {"site-a": "1.0.0", "site-b": "1.0.0"}


def test_a_quarantine_made_by_hand_rolls_the_approved_release_back():
    world = two_sites(release("1.1.0", phase=ReleasePhase.APPROVED), approved="1.1.0")
    by_hand = QuarantineFacts(
        ref("1.1.0").digest, QuarantineScope.RELEASE, START, FailedMetric(name="manual", message="skerry rollback")
    )
    world.change(replace(world.model, previous=ref("1.0.0"), quarantines=(by_hand,)))
    asked = world.settle()
    assert asked[0] == RollBack(ref("1.1.0"), by_hand.reason)
    assert world.versions() == {"site-a": "1.0.0", "site-b": "1.0.0"}


@pytest.mark.parametrize("scope", list(QuarantineScope))
def test_a_quarantine_that_has_no_room_for_one_more_site_is_not_asked_for_it_again_and_again(scope):
    """Nothing would be written, and the plan would never come to rest."""
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    full = frozenset(f"site-{number}" for number in range(MAX_SITES))
    quarantine = QuarantineFacts(ref("1.1.0").digest, scope, START, FailedMetric(name="disagreement"), full)
    world.change(replace(world.model, quarantines=(quarantine,)))
    world.report("site-a", rolled_back("1.1.0", to="1.0.0"))
    asked = world.settle()
    assert not [command for command in asked if isinstance(command, QuarantineAtSite)]
    assert [type(command) for command in asked[:1]] == [RollBack]


def test_a_failed_first_release_stays_where_it_serves_as_there_is_nothing_better():
    world = two_sites(release("1.0.0"))
    world.settle()
    world.report("site-a", serving("1.0.0"))
    world.settle()
    world.report("site-b", SiteReport(ModelPhase.REFUSED, ref("1.0.0").digest, reason="LoadFailed"))
    world.settle()
    assert world.phases() == {"1.0.0": ReleasePhase.ROLLED_BACK}
    assert world.sites["site-a"].assigned == told("1.0.0")
    assert world.settle() == []


def test_failures_within_the_limit_let_the_ring_go_on_and_spare_the_site():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    tolerant = replace(INTERNAL, max_failures=1)
    world.rings = (tolerant, FLEET)
    world.ledger.reframe(world.model, world.rings, world.now)
    world.put(site("site-c", "internal", assigned=told("1.0.0", "1.0.0"), report=serving("1.0.0")))
    world.settle()
    world.report("site-c", rolled_back("1.1.0", to="1.0.0"))
    world.report("site-a", serving("1.1.0"))
    assert AdvanceRing(ref("1.1.0"), "internal") in world.settle()
    assert world.sites["site-c"].assigned == told("1.0.0", "1.0.0", quarantined=["1.1.0"])
    world.report("site-b", serving("1.1.0"))
    assert Approve(ref("1.1.0")) in world.settle()
    assert world.sites["site-c"].assigned == told("1.0.0", "1.0.0", quarantined=["1.1.0"])


def test_a_ring_all_of_whose_sites_failed_within_the_limit_has_shown_nothing():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.rings = (replace(INTERNAL, max_failures=1), FLEET)
    world.ledger.reframe(world.model, world.rings, world.now)
    world.settle()
    world.report("site-a", rolled_back("1.1.0", to="1.0.0"))
    asked = world.settle()
    assert not [command for command in asked if isinstance(command, AdvanceRing | RollBack)]


def test_rings_without_any_site_are_passed_but_prove_nothing():
    model = ModelFacts("factory", "har", ref("1.0.0"), None, (release("1.1.0"),))
    world = World(model, (INTERNAL, FLEET), {})
    asked = world.settle()
    assert not [command for command in asked if isinstance(command, Approve | AdvanceRing)]
    assert progress(world, "1.1.0").reason == "WaitingForSites"


def test_a_ring_that_was_empty_for_a_while_is_gone_through_when_its_sites_are_back():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    gone = dict(world.sites)
    for name in gone:
        world.ledger.drop(name)
    world.settle()
    world.put(*gone.values())
    world.settle()
    assert world.sites["site-a"].runs(ref("1.1.0").digest)
    assert not world.sites["site-b"].runs(ref("1.1.0").digest)


def test_without_rings_nothing_goes_out_and_the_status_says_so():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.rings = ()
    world.ledger.reframe(world.model, (), world.now)
    assert world.settle() == []
    assert progress(world, "1.1.0").reason == "NoRings"


def test_a_deadline_counts_only_time_while_the_site_is_reachable():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    downloading = SiteReport(ModelPhase.DOWNLOADING, ref("1.1.0").digest, ref("1.0.0").digest)
    for _ in range(9):
        world.pass_time(60, "site-b")
        world.report("site-a", downloading)
    world.settle()
    world.pass_time(7200, "site-b")
    world.settle()
    world.report("site-a", downloading)
    assert world.settle() == []
    assert world.phases() == {"1.1.0": ReleasePhase.PROGRESSING}
    world.pass_time(61, "site-b")
    world.report("site-a", downloading)
    asked = world.settle()
    assert [command.metric.name for command in asked if isinstance(command, RollBack)] == ["progressDeadline"]


def test_a_site_that_leaves_its_ring_keeps_its_release_until_that_is_quarantined():
    world = two_sites(release("1.1.0"), approved="1.0.0")
    world.settle()
    world.put(replace(world.sites["site-a"], ring=None))
    assert world.settle() != []
    assert world.versions()["site-a"] == "1.1.0"
    bad = QuarantineFacts(ref("1.1.0").digest, QuarantineScope.RELEASE, START, FailedMetric(name="manual"))
    world.change(replace(world.model, quarantines=(bad,)))
    world.settle()
    assert world.sites["site-a"].assigned == told("1.0.0", "1.0.0", quarantined=["1.1.0"])
