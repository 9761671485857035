"""A month at several sites: outages of days, metered days, nightly windows over the clocks' change, and a bad link."""

import itertools
from datetime import timedelta

import pytest

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core.sync_policy.document import DownloadPolicy, Window
from skerry_edge.sync.schedule.ledger import DAY, HOUR
from skerry_edge.sync.schedule.plan import Wish
from tests.unit.sync.schedule.simulation import Load, Site, policy, tier

CRITICAL, FEEDBACK, LABELS, DIAGNOSTICS, BULK = Tier
MONTH = 31 * DAY  # March 2026: clocks change in Berlin on the 29th, in New York on the 8th
NIGHTS = (Window(schedule="30 2 * * *", time_zone="Europe/Berlin", duration=timedelta(hours=3)),)
WEEKENDS = (Window(schedule="0 0 * * 6", time_zone="America/New_York", duration=timedelta(hours=48)),)
MODEL = 40 << 20
# An alert goes as soon as the link is known to be back: after a few tries, each a longest pause after the last.
PATIENCE = 1200


def away(*outages: tuple[float, float]):
    """Up but for these stretches, in days."""
    return lambda at: not any(begin * DAY <= at < end * DAY for begin, end in outages)


def by_day(at: float) -> bool:
    return 8 * HOUR <= at % DAY < 20 * HOUR


OUTAGES = ((2.0, 4.5), (9.3, 9.6), (11.0, 11.1), (27.9, 28.4))


def village() -> Site:
    """Kilobytes an hour over a satellite; records of minutes."""
    return Site(
        policy(
            tier(CRITICAL, hour=24_000, day=300_000),
            tier(FEEDBACK, hour=16_000, hold=True),
            tier(BULK, hour=30_000, day=90_000, windows=NIGHTS),
            downloads=DownloadPolicy(bytes_per_day=400_000, on_metered=OnMetered.SEND),
        ),
        [
            Load("telemetry", CRITICAL, 350, 1200),
            Load("alerts", CRITICAL, 300, 5 * HOUR, urgent=True),
            Load("predictions", FEEDBACK, 60, 120),
            Load("images", BULK, 1500, 1800),
        ],
        up=away(*OUTAGES),
        metered=lambda at: 12 * DAY <= at < 14 * DAY,
        rate=lambda _: 300.0,
        wishes=[Wish("sha256:model", 2 << 20)],
        seed=3,
    )


def factory() -> Site:
    """Plenty by night, a metered link by day, a rate limit, and more than fits."""
    return Site(
        policy(
            tier(CRITICAL, hour=2 << 20),
            tier(FEEDBACK, second=20_000, hour=40 << 20),
            tier(LABELS, hour=20 << 20, hold=True),
            tier(DIAGNOSTICS, day=50 << 20, windows=NIGHTS, hold=True),
            tier(BULK, day=200 << 20, windows=WEEKENDS, hold=True),
            downloads=DownloadPolicy(bytes_per_hour=4 << 20, windows=NIGHTS, on_metered=OnMetered.HOLD),
        ),
        [
            Load("telemetry", CRITICAL, 8000, 600),
            Load("alerts", CRITICAL, 500, 2 * HOUR, urgent=True),
            Load("predictions", FEEDBACK, 1_200_000, 720),
            Load("labels", LABELS, 1_800_000, 3600),
            Load("traces", DIAGNOSTICS, 2_400_000, 3600),
            Load("raw", BULK, 4_000_000, 1800),
        ],
        up=away(*OUTAGES),
        metered=by_day,
        rate=lambda _: 500_000.0,
        wishes=[Wish(f"sha256:model-{n}", MODEL) for n in range(3)],
        seed=5,
    )


def ship() -> Site:
    """No budget at all, a thin link that loses every third exchange, gone for a third of each day."""
    return Site(
        policy(),
        [
            Load("telemetry", CRITICAL, 4000, 600),
            Load("alerts", CRITICAL, 300, HOUR, urgent=True),
            Load("predictions", FEEDBACK, 120_000, 720),
            Load("labels", LABELS, 120_000, 1800),
            Load("traces", DIAGNOSTICS, 120_000, 1800),
        ],
        up=lambda at: at % DAY >= 8 * HOUR,
        rate=lambda _: 8000.0,
        loss=0.3,
        wishes=[Wish("sha256:first", 1 << 20, essential=True), Wish("sha256:model", 8 << 20)],
        seed=7,
    )


SITES = {"village": village, "factory": factory, "ship": ship}


@pytest.fixture(scope="module", params=SITES)
def site(request):
    site = SITES[request.param]()
    site.run(MONTH)
    return site


def waited_online(site: Site, born: float, arrived: float) -> float:
    """How long something waited while the link was up, to the minute."""
    return sum(site.up(at) for at in itertools.takewhile(lambda at: at < arrived, itertools.count(born, 60))) * 60.0


@pytest.mark.slow
def test_no_hour_and_no_day_has_more_than_its_budget(site):
    site.assert_within_budgets()
    assert site.decisions < 1_000_000


@pytest.mark.slow
def test_critical_telemetry_never_starves(site):
    for stream, patience in (("alerts", PATIENCE), ("telemetry", 2 * HOUR)):
        arrived = [each for each in site.delivered if each.stream == stream]
        assert len(arrived) + len(site.logs[stream]) > MONTH / site.loads[stream].every * 0.9
        # After an outage of days, telemetry has history to send beside what is new.
        late = [each for each in arrived if waited_online(site, each.born, each.arrived) > patience]
        assert len(late) <= (0 if stream == "alerts" else len(arrived) * 0.1), (stream, len(late), len(arrived))
        assert len(site.logs[stream]) <= 20


def test_what_the_policy_leaves_room_for_arrives(site):
    for load in site.loads.values():
        arrived = len(site.latencies(load.stream))
        assert arrived > 0, load.stream
        # Everything but what comes faster than the month's budget of its tier, or since the last window.
        if load.tier in {CRITICAL, FEEDBACK}:
            assert arrived >= 0.9 * (arrived + len(site.logs[load.stream])), load.stream


def test_downloads_end(site):
    assert all(not wish.missing for wish in site.wishes)


@pytest.mark.parametrize("site", ["village", "factory"], indirect=True)  # those whose link is gone for days
def test_after_an_outage_the_newest_comes_first_and_history_drains_beside_it(site):
    began, back = (OUTAGES[0][0] * DAY, OUTAGES[0][1] * DAY) if site.up(DAY) else (DAY, DAY + 8 * HOUR)
    fresh = [each for each in site.delivered if each.stream == "predictions" and back <= each.born < back + 6 * HOUR]
    history = [
        each
        for each in site.delivered
        if each.stream == "predictions" and began <= each.born < back and each.arrived < back + 6 * HOUR
    ]
    assert history
    assert sorted(each.arrived - each.born for each in fresh)[len(fresh) // 2] < 2 * HOUR
