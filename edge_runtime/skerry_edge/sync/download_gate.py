"""Lets delivery fetch as the scheduler allows, and accounts for what that took."""

from collections.abc import Callable

from skerry_edge.delivery.fetch import Turn
from skerry_edge.sync.schedule.plan import Download, Held, HeldReason, Wait, Wish
from skerry_edge.sync.scheduler import Scheduler
from skerry_edge.sync.traffic import MODELS, POLICIES, Traffic


class DownloadGate:
    """As `skerry_edge.delivery.delivery.Gate` wants it."""

    def __init__(self, scheduler: Scheduler, traffic: Traffic) -> None:
        self._scheduler = scheduler
        self._traffic = traffic

    def __call__(self, wish: Wish, policy: bool, fetch: Callable[[Turn], bool]) -> bool | Held:  # noqa: FBT001
        """Run one turn, or say why there is none now. Raises what `fetch` raises, and OSError."""
        leased = self._scheduler.download((wish,))
        if isinstance(leased, Held):
            return leased
        if isinstance(leased, Wait):
            return Held(wish.digest, None, HeldReason.BUDGET_USED, "", leased.seconds)
        command = leased.command
        assert isinstance(command, Download)
        rate = None if wish.essential else leased.rate
        with self._traffic.exchange(POLICIES if policy else MODELS, rate) as exchange:
            error: Exception | None = None
            try:
                return fetch(Turn(command.max_bytes, rate))
            except Exception as caught:
                error = caught
                raise
            finally:
                self._scheduler.downloaded(leased, exchange, error)
