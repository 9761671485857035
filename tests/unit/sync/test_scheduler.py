"""The shell around the pure scheduler: what is set aside, what is learned, and what is told."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core.errors import RetryError, WaitError
from skerry_core.store.errors import StoreRefusedError, StoreUnavailableError
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import DownloadPolicy
from skerry_edge.delivery.fetch import Turn
from skerry_edge.sync.backlog import Backlog
from skerry_edge.sync.download_gate import DownloadGate
from skerry_edge.sync.schedule import plan
from skerry_edge.sync.schedule.plan import Held, HeldReason, Lane, Wait, Wish
from skerry_edge.sync.scheduler import is_of_link

NOW = datetime(2026, 5, 1, tzinfo=UTC)


def downloads(**limits):
    return DEFAULT_POLICY.model_copy(update={"downloads": DownloadPolicy(**{"on_metered": OnMetered.SEND} | limits)})


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (StoreUnavailableError("down"), True),
        (WaitError("GrantExpired", "over"), True),
        (StoreRefusedError("no"), False),
        (RetryError("LogUnreadable", "disk"), False),
        (OSError("disk"), False),
    ],
)
def test_errors_of_the_link_are_told_from_those_of_what_was_sent(error, expected):
    assert is_of_link(error) is expected


def test_nobody_touches_the_ledger_while_a_plan_reads_it(node, monkeypatch):
    free = []

    def plan_upload(world, queues, lane):
        other = threading.Thread(target=lambda: free.append(node.traffic.lock.acquire(blocking=False)))
        other.start()
        other.join()
        return Wait(1.0)

    monkeypatch.setattr(plan, "upload", plan_upload)
    node.scheduler.upload((), Lane.SHARED)
    assert free == [False]


def test_a_download_is_accounted_for_and_slices_keep_to_the_budget(node):
    node.policy = downloads(bytes_per_hour=50_000)
    gate = DownloadGate(node.scheduler, node.traffic)
    turns = []

    def fetch(turn: Turn) -> bool:
        turns.append(turn.max_bytes)
        node.traffic.received(turn.max_bytes + 300)
        return False

    while not isinstance(held := gate(Wish("sha256:a", 1 << 20), False, fetch), Held):
        pass
    assert held.reason is HeldReason.BUDGET_USED
    assert 30_000 < sum(turns) + 300 * len(turns) <= 50_000
    node.later(3 * 3600)
    assert gate(Wish("sha256:a", 1 << 20), False, fetch) is False


def test_what_is_essential_is_fetched_whole_and_still_counts(node):
    node.policy = downloads(bytes_per_hour=1000, bytes_per_second=10, on_metered=OnMetered.HOLD)
    node.metered = True
    gate = DownloadGate(node.scheduler, node.traffic)

    def fetch(turn: Turn) -> bool:
        assert turn == Turn(None, None)
        with node.traffic.exchange("other"):
            pass
        node.traffic.received(70_000)
        return True

    assert gate(Wish("sha256:a", 70_000, essential=True), True, fetch) is True
    assert node.traffic.ledger.used("Downloads", 3600, node.traffic.steady.now()) == 70_000
    assert isinstance(gate(Wish("sha256:b", 10), False, fetch), Held)


def test_a_download_that_fails_gives_back_what_it_did_not_take(node):
    node.policy = downloads(bytes_per_hour=50_000)
    gate = DownloadGate(node.scheduler, node.traffic)

    def fail(_: Turn) -> bool:
        node.traffic.received(100)
        raise StoreUnavailableError("down")

    with pytest.raises(StoreUnavailableError):
        gate(Wish("sha256:a", 1 << 20), False, fail)
    assert node.traffic.ledger.used("Downloads", 3600, node.traffic.steady.now()) == 100
    assert gate(Wish("sha256:a", 1 << 20), False, fail).reason is HeldReason.LINK_DOWN
    node.scheduler.retry_now()
    with pytest.raises(StoreUnavailableError):
        gate(Wish("sha256:a", 1 << 20), False, fail)


def test_a_link_that_failed_holds_what_waits_until_an_exchange_succeeds(node):
    node.log.append(3)
    queues = tuple(queue for _, queue in node.uploader.queues().values())
    with pytest.raises(StoreUnavailableError):
        node.scheduler.beside("other", _unreachable)
    for _ in range(3):  # the pause is over, and the next attempt is under way for long
        assert [held.reason for held in node.scheduler.held(queues)] == [HeldReason.LINK_DOWN]
        node.later(100)
    node.scheduler.beside("other", lambda: node.traffic.received(100))
    assert node.scheduler.held(queues) == []


def _unreachable() -> None:
    raise StoreUnavailableError("down")


def test_the_backlog_is_told_by_tier_with_its_age_and_reason(node):
    tiers = tuple(
        each.model_copy(update={"on_metered": OnMetered.HOLD}) if each.tier is Tier.MODEL_FEEDBACK else each
        for each in DEFAULT_POLICY.tiers
    )
    node.policy = DEFAULT_POLICY.model_copy(update={"tiers": tiers})
    node.metered = True
    node.log.append(1200)
    registry = CollectorRegistry()
    backlog = Backlog(node.uploader, node.scheduler, lambda: node.policy, registry)
    now = datetime.now(UTC) + timedelta(minutes=5)
    found = backlog.look(now)[Tier.MODEL_FEEDBACK]
    assert (found.records, found.held.reason) == (1200, HeldReason.METERED)
    assert 299 < found.oldest_seconds < 400
    assert backlog.depth(now) == 1200
    assert [(queue.tier, queue.depth, queue.held_reason) for queue in backlog.queues(now)] == [
        (Tier.MODEL_FEEDBACK, 1000, "")
    ], "what is held for a moment is no news"
    for seconds in range(10, 41, 10):
        backlog.look(now + timedelta(seconds=seconds))
    (told,) = backlog.queues(now + timedelta(seconds=40))
    assert (told.depth, told.held_reason) == (1000, "Metered")
    assert "metered" in told.message
    labels = {"tier": "ModelFeedback", "reason": "Metered"}
    assert registry.get_sample_value("skerry_sync_held", labels) == 1
    node.metered = False
    node.drain()
    backlog.look(now + timedelta(seconds=50))
    assert registry.get_sample_value("skerry_sync_held", labels) is None
    assert registry.get_sample_value("skerry_sync_queue_records", {"tier": "ModelFeedback"}) == 0
    assert backlog.queues(now + timedelta(seconds=50)) == ()


def test_listings_are_rarer_where_bytes_cost(node):
    assert node.scheduler.listing_pause(30) == 30
    node.metered = True
    assert node.scheduler.listing_pause(30) == 360
    assert node.idle(Lane.SHARED)
