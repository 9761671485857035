"""Counting, and a ledger that a kill can't make forget."""

import errno
import json
import threading
from datetime import UTC, datetime, timedelta

import pytest
from prometheus_client import CollectorRegistry

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core.sync_policy.defaults import DEFAULT_POLICY
from skerry_core.sync_policy.document import Budget
from skerry_edge.sync import traffic as module
from skerry_edge.sync.schedule.ledger import DAY, HOUR
from skerry_edge.sync.steady import Steady
from skerry_edge.sync.traffic import MODELS, Exchange, Traffic

BUDGET = Budget(bytes_per_hour=64_000, on_metered=OnMetered.SEND)


class World:
    def __init__(self, folder):
        self.path = folder / "traffic.json"
        self.now = 1000.0
        self.wall = datetime(2026, 5, 1, 12, 30, tzinfo=UTC)
        self.restart()

    def restart(self):
        self.registry = CollectorRegistry()
        self.traffic = Traffic(
            self.path,
            lambda noted: Steady("boot", lambda: self.now, lambda: 0.0, noted),
            self.registry,
            lambda: self.wall,
        )

    def used(self) -> int:
        return self.traffic.ledger.used("Bulk", HOUR, self.traffic.steady.now())


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_bytes_go_to_the_purpose_of_their_thread_and_to_the_inner_one_first(world):
    def elsewhere():
        with world.traffic.exchange("Listing"):
            world.traffic.received(7)

    with world.traffic.exchange(MODELS) as outer:
        world.traffic.sent(10)
        with world.traffic.exchange("Bulk") as inner:
            world.traffic.sent(100)
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        world.traffic.received(20)
    world.traffic.sent(1)
    assert (outer.sent, outer.received, inner.size) == (10, 20, 100)
    value = world.registry.get_sample_value
    counted = {
        (purpose, direction): value("skerry_sync_bytes_total", {"purpose": purpose, "direction": direction})
        for purpose, direction in (
            (MODELS, "sent"), (MODELS, "received"), ("Bulk", "sent"), ("Listing", "received"), ("Other", "sent"),
        )
    }  # fmt: skip
    assert list(counted.values()) == [10, 20, 100, 7, 1]


def test_each_hour_is_told_by_purpose_and_two_days_are_kept(world):
    for _ in range(60):
        with world.traffic.exchange("Bulk"):
            world.traffic.sent(5)
            world.traffic.received(3)
        world.wall += timedelta(hours=1)
    world.traffic.flush()
    hours = json.loads(world.path.read_bytes())["hours"]
    assert len(hours) == 48
    assert list(hours.values())[-1] == {"Bulk": [5, 3]}
    world.restart()
    world.wall -= timedelta(days=2000)
    world.traffic.sent(1)
    world.traffic.flush()
    assert "Other" in list(json.loads(world.path.read_bytes())["hours"].values())[-1], "a clock set back hides nothing"


def test_what_is_set_aside_is_on_disk_before_anything_leaves(world):
    world.traffic.reserve("Bulk", 5000, BUDGET)
    world.restart()
    assert 5000 <= world.used() <= 5000 + BUDGET.bytes_per_hour // 64


def test_what_was_noted_ahead_saves_writes_and_counts_after_a_crash(world, monkeypatch):
    writes = []
    real = module.write_file
    monkeypatch.setattr(module, "write_file", lambda *args: (writes.append(1), real(*args)))
    for _ in range(20):
        exchange = Exchange("Bulk", sent=90)
        world.traffic.settle(world.traffic.reserve("Bulk", 100, BUDGET), "Bulk", exchange)
    assert world.used() == 20 * 90
    assert len(writes) <= 3
    world.restart()
    assert world.used() >= 20 * 90


def test_nothing_may_leave_that_cannot_be_noted(world, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(module, "write_file", full)
    with pytest.raises(OSError, match="no space"):
        world.traffic.reserve("Bulk", 100, BUDGET)
    assert world.used() == 0


def test_without_a_budget_nothing_is_written(world):
    world.traffic.reserve("Bulk", 100, Budget(bytes_per_second=10, on_metered=OnMetered.SEND))
    assert not world.path.exists()


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b'{"used": 7}', b'{"used": {"Bulk": [[1]]}}', b'{"hours": {"x": 1}}']
)
def test_a_file_that_cannot_be_read_begins_anew(world, data):
    world.path.write_bytes(data)
    world.restart()
    assert world.used() == 0
    world.traffic.reserve("Bulk", 100, BUDGET)
    world.restart()
    assert world.used() >= 100


def test_what_goes_beside_the_data_is_learned_and_remembered(world):
    first = world.traffic.overhead
    for size in (800, 1200, 900):
        world.traffic.note_overhead(size)
    assert first > world.traffic.overhead == 1200
    world.traffic.reserve("Bulk", 10, BUDGET)
    world.restart()
    assert world.traffic.overhead == 1200


def test_a_rate_slows_down_and_no_rate_does_not(monkeypatch):
    naps = []
    monkeypatch.setattr(module.time, "sleep", naps.append)
    times = iter([0.0, 0.5, 10.0])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    exchange = Exchange("Bulk", rate=100, began=0.0)
    exchange.sent = 200
    next(times)
    exchange.pace()
    exchange.pace()
    assert naps == [1.5]
    Exchange("Bulk", began=0.0, sent=10**9).pace()
    assert naps == [1.5]


def test_budgets_are_told_in_metrics(world):
    tiers = tuple(tier.model_copy(update={"bytes_per_day": 1000}) for tier in DEFAULT_POLICY.tiers)
    world.traffic.ledger.spend(Tier.BULK.value, 10, world.traffic.steady.now())
    world.traffic.show(DEFAULT_POLICY.model_copy(update={"tiers": tiers}))
    value = world.registry.get_sample_value
    assert value("skerry_sync_budget_used_bytes", {"kind": "Bulk", "window": "day"}) == 10
    assert value("skerry_sync_budget_bytes", {"kind": "Bulk", "window": "day"}) == 1000
    assert DAY > HOUR
