"""Single decisions, and any policy against any arrivals and outages."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core.sync_policy.document import DownloadPolicy, Window
from skerry_edge.sync.schedule.ledger import DAY, HOUR, Ledger
from skerry_edge.sync.schedule.plan import (
    IDLE,
    LINGER,
    Download,
    Held,
    HeldReason,
    Lane,
    Link,
    Part,
    Queue,
    Upload,
    Wait,
    Waiting,
    Wish,
    World,
    download,
    held,
    listing_pause,
    upload,
)
from skerry_edge.sync.schedule.windows import Calendar
from tests.unit.sync.schedule.simulation import Load, Site, policy, tier

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC)
AT = 10.0 * DAY
CRITICAL, FEEDBACK, LABELS, DIAGNOSTICS, BULK = Tier
NIGHT = Window(schedule="0 1 * * *", time_zone="UTC", duration=timedelta(hours=2))


def world(rules=None, *, ledger=None, overhead=1000, now=NOW, **link) -> World:
    return World(rules or policy(), NOW, AT, ledger or Ledger(), Calendar(), Link(**link), overhead=overhead)


def queue(which=FEEDBACK, size=1 << 20, *, least=100, waited=100.0, urgent=False, history=0, name="s", retry_at=0.0):
    sizes = {Part.LIVE: size, Part.HISTORY: history}
    return Queue(
        name,
        which,
        {part: Waiting(found, AT - waited) for part, found in sizes.items() if found},
        least,
        urgent,
        retry_at,
    )


def test_without_budgets_all_that_waits_goes_within_the_links_measure():
    command = upload(world(batch_limit=1 << 18), (queue(),), Lane.SHARED)
    assert isinstance(command, Upload)
    assert (command.max_bytes, command.reserve, command.part) == (1 << 18, 0, Part.LIVE)


def test_without_budgets_no_batch_is_cut_to_what_is_thought_to_wait():
    command = upload(world(batch_limit=1 << 18), (queue(size=500),), Lane.SHARED)
    assert isinstance(command, Upload)
    assert command.max_bytes == 1 << 18


def test_a_little_waits_for_company_and_then_goes():
    small = queue(size=500, waited=0.5)
    assert upload(world(), (small,), Lane.SHARED) == Wait(LINGER - 0.5)
    assert isinstance(upload(world(), (queue(size=500, waited=LINGER),), Lane.SHARED), Upload)


def test_what_is_urgent_waits_for_nothing():
    alert = queue(CRITICAL, 300, waited=0, urgent=True, name="alerts")
    others = (queue(CRITICAL, name="telemetry"), queue(BULK, name="bulk"))
    command = upload(world(policy(tier(CRITICAL, hour=10_000))), (*others, alert), Lane.EXPRESS)
    assert command.stream == "alerts"


def test_the_lanes_do_not_stand_before_each_other():
    queues = (queue(CRITICAL, name="telemetry"), queue(BULK, name="bulk"))
    assert upload(world(), queues, Lane.EXPRESS).stream == "telemetry"
    assert upload(world(), queues, Lane.SHARED).stream == "bulk"


def test_nothing_waits_for_nothing():
    assert upload(world(), (), Lane.SHARED) == Wait(IDLE)
    assert upload(world(), (queue(size=0),), Lane.SHARED) == Wait(IDLE)
    assert download(world(), ()) == Wait(IDLE)


@pytest.mark.parametrize(
    ("rules", "link", "queued", "reason"),
    [
        (policy(tier(BULK, hold=True)), {"metered": True}, queue(BULK), HeldReason.METERED),
        (policy(tier(BULK, windows=(NIGHT,))), {}, queue(BULK), HeldReason.WINDOW_CLOSED),
        (policy(), {"retry_at": AT + 5}, queue(BULK), HeldReason.LINK_DOWN),
        (policy(), {}, queue(None), HeldReason.NOT_IN_POLICY),
        (policy(tier(BULK, hour=2000)), {}, queue(BULK, least=600), HeldReason.BUDGET_USED),
        (policy(tier(BULK, hour=2000)), {}, queue(BULK, least=2100), HeldReason.BUDGET_TOO_SMALL),
        (policy(tier(BULK, day=2000)), {}, queue(BULK, least=1100), HeldReason.BUDGET_TOO_SMALL),
    ],
)
def test_what_may_not_go_says_why(rules, link, queued, reason):
    ledger = Ledger()
    ledger.spend(BULK.value, 1950, AT)
    made = world(rules, ledger=ledger, **link)
    (found,) = held(made, (queued,))
    assert found.reason is reason
    assert isinstance(upload(made, (queued,), Lane.SHARED), Wait)


@pytest.mark.parametrize("link", [{"metered": True}, {}])
def test_critical_telemetry_is_never_held(link):
    rules = policy(tier(CRITICAL, hold=True, windows=(NIGHT,)))
    assert isinstance(upload(world(rules, **link), (queue(CRITICAL),), Lane.EXPRESS), Upload)


def test_a_quarter_of_the_critical_budget_is_for_alerts():
    rules, ledger = policy(tier(CRITICAL, hour=8000)), Ledger()
    ledger.spend(CRITICAL.value, 5000, AT)
    made = world(rules, ledger=ledger)
    telemetry = queue(CRITICAL, name="telemetry")
    assert isinstance(upload(made, (telemetry,), Lane.EXPRESS), Wait)
    alert = queue(CRITICAL, 1900, urgent=True, name="alerts")
    assert upload(made, (telemetry, alert), Lane.EXPRESS).stream == "alerts"


def test_a_budget_is_cut_to_and_never_spent_on_crumbs():
    rules, ledger = policy(tier(BULK, hour=20_000)), Ledger()
    command = upload(world(rules, ledger=ledger), (queue(BULK),), Lane.SHARED)
    assert (command.max_bytes, command.reserve) == (19_000, 20_000)
    ledger.spend(BULK.value, 17_000, AT)
    assert isinstance(upload(world(rules, ledger=ledger), (queue(BULK),), Lane.SHARED), Wait)


def test_a_record_larger_than_an_hours_budget_goes_alone_for_several():
    rules = policy(tier(BULK, hour=2000))
    command = upload(world(rules), (queue(BULK, least=5000),), Lane.SHARED)
    assert (command.max_bytes, command.reserve) == (5000, 6000)
    never = next(iter(held(world(rules), (queue(BULK, least=60_000),))))
    assert never.seconds is None
    assert "raise it" in never.message


def test_a_stream_that_failed_holds_up_no_other():
    queues = (queue(BULK, name="bad", retry_at=AT + 9), queue(BULK, name="good"))
    assert upload(world(), queues, Lane.SHARED).stream == "good"


def test_downloads_keep_to_their_own_rules():
    rules = policy(downloads=DownloadPolicy(bytes_per_hour=50_000, on_metered=OnMetered.HOLD))
    wishes = (Wish("sha256:a", 1 << 20),)
    assert download(world(rules), wishes) == Download("sha256:a", 49_000, 50_000, rules.downloads)
    assert download(world(rules, metered=True), wishes).reason is HeldReason.METERED
    assert download(world(), wishes).max_bytes is None


def test_what_the_node_cannot_serve_without_comes_first_and_costs_what_it_costs():
    rules = policy(downloads=DownloadPolicy(bytes_per_hour=5_000, windows=(NIGHT,), on_metered=OnMetered.HOLD))
    wishes = (Wish("sha256:a", 100), Wish("sha256:b", 1 << 20, essential=True))
    command = download(world(rules, metered=True), wishes)
    assert (command.digest, command.max_bytes, command.reserve) == ("sha256:b", None, (1 << 20) + 1000)
    assert isinstance(download(world(rules, retry_at=AT + 1), wishes), Held)


def test_listings_take_an_eighth_of_a_small_link_at_most_and_one_a_day_goes():
    assert listing_pause(policy(), 10**6, 300) == 300
    small = policy(*(tier(which, hour=3600) for which in Tier))
    assert listing_pause(small, 1000, 300) == 8 * 1000 / 5
    assert listing_pause(small, 10**6, 300) == DAY


budgets = st.fixed_dictionaries(
    {},
    optional={
        "second": st.integers(200, 20_000),
        "hour": st.integers(4_000, 400_000),
        "day": st.integers(8_000, 4_000_000),
        "hold": st.booleans(),
        "windows": st.sampled_from([(), (NIGHT,), (Window(schedule="0 */4 * * *", time_zone="UTC", duration="1h"),)]),
    },
)
policies = st.tuples(*(budgets.map(lambda given, which=which: tier(which, **given)) for which in Tier)).map(
    lambda tiers: policy(*tiers)
)
loads = st.lists(
    st.tuples(st.sampled_from(list(Tier)), st.integers(20, 6000), st.floats(20, 3000), st.booleans()),
    min_size=1,
    max_size=6,
)
stretches = st.lists(st.integers(600, 15_000), max_size=6)


def alternating(lengths: list[int]):
    """False in every second stretch; true after the last."""
    ends = [sum(lengths[: n + 1]) for n in range(len(lengths))]

    def state(at: float) -> bool:
        passed = sum(end <= at for end in ends)
        return passed == len(ends) or passed % 2 == 0

    return state


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(policies, loads, stretches, stretches, st.sampled_from([2e3, 8e3, 1e6]), st.sampled_from([0.0, 0.3]))
def test_any_policy_and_any_arrivals(rules, given_loads, outages, prices, rate, loss):
    site = Site(
        rules,
        [
            Load(f"stream-{n}", which, size, every, urgent and which is CRITICAL)
            for n, (which, size, every, urgent) in enumerate(given_loads)
        ],
        up=alternating(outages),
        metered=lambda at: not alternating(prices)(at),
        rate=lambda _: rate,
        loss=loss,
    )
    site.run(0.6 * DAY)
    site.assert_within_budgets()
    assert site.decisions < 400_000


@pytest.mark.slow
@settings(max_examples=8, deadline=None)
@given(policies, st.integers(20, 800), st.sampled_from([8e3, 1e6]))
def test_critical_telemetry_arrives_whatever_else_waits(rules, size, rate):
    """Within its own budget: so much comes that the other tiers alone fill the link many times over."""
    rules = rules.model_copy(update={"tiers": (tier(CRITICAL, hour=60_000), *rules.tiers[1:])})
    site = Site(
        rules,
        [
            Load("telemetry", CRITICAL, size, 600),
            Load("alerts", CRITICAL, 200, 1800, urgent=True),
            *(Load(f"flood-{n}", which, 50_000, 60) for n, which in enumerate(list(Tier)[1:])),
        ],
        rate=lambda _: rate,
    )
    site.run(3 * HOUR)
    site.assert_within_budgets()
    assert max(site.latencies("alerts")) < 60
    assert max(site.latencies("telemetry")) < HOUR
    assert len(site.latencies("telemetry")) > 10
