"""Asks the pure scheduler, sets bytes aside for what it allows, and learns from how that ended. Threads share it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TypeVar

from skerry_core.errors import SkerryError
from skerry_core.store.errors import StoreAnswersWithPageError, StoreUnavailableError
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.sync.schedule import plan
from skerry_edge.sync.schedule.fair import Fair
from skerry_edge.sync.schedule.ledger import Reservation
from skerry_edge.sync.schedule.link import LinkHealth
from skerry_edge.sync.schedule.plan import Download, Held, Lane, Link, Queue, Upload, Wait, Wish, World
from skerry_edge.sync.schedule.windows import Calendar
from skerry_edge.sync.traffic import LISTING, Exchange, Traffic

_T = TypeVar("_T")

# Listings are so many times rarer over a link that costs by the byte.
_METERED = 12
# Seconds after which an attempt that is under way may have shown that the link is back.
_ATTEMPT = 1.0
# Errors after which there is no point in trying anything else over this link for a while.
_LINK = frozenset({"GrantMissing", "GrantExpired", "GrantRefused"})


@dataclass(frozen=True)
class Lease:
    """Leave to send or fetch what the command says; has to be handed back by `uploaded` or `downloaded`."""

    command: Upload | Download
    reservation: Reservation | None

    @property
    def rate(self) -> int | None:
        """Bytes a second that it may take."""
        return self.command.budget.bytes_per_second


class Scheduler:
    """One for all that crosses the site's link. `policy` gives the policy in force, `metered` whether bytes cost."""

    def __init__(
        self,
        policy: Callable[[], SyncPolicyDocument],
        traffic: Traffic,
        metered: Callable[[], bool],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._policy = policy
        self._traffic = traffic
        self._metered = metered
        self._clock = clock
        # The traffic's own: a plan reads the ledger, which other threads write.
        self._lock = traffic.lock
        self._calendar = Calendar()
        self._fair = Fair()
        self._health = LinkHealth()
        self._listing_cost = 4096

    @property
    def at(self) -> float:
        """Now, on the ledger's axis."""
        return self._traffic.steady.now()

    @property
    def up(self) -> bool:
        """Whether the last exchange reached the store."""
        return self._health.failures == 0

    @property
    def may_try(self) -> bool:
        """Whether the pause after the last failure is over."""
        return self._health.retry_at <= self.at

    def upload(self, queues: tuple[Queue, ...], lane: Lane) -> Lease | Wait:
        """Next batch of a lane, with its bytes set aside. Raises OSError if that can't be noted."""
        with self._lock:
            command = plan.upload(self._world(), queues, lane)
            return command if isinstance(command, Wait) else self._leased(command, command.kind)

    def download(self, wishes: tuple[Wish, ...]) -> Lease | Wait | Held:
        """Next part of a blob. Raises OSError as `upload` does."""
        with self._lock:
            command = plan.download(self._world(), wishes)
            return self._leased(command, plan.DOWNLOADS) if isinstance(command, Download) else command

    def held(self, queues: tuple[Queue, ...]) -> list[Held]:
        """What has something to send and may not, with the reason.

        A link that failed holds everything until an exchange succeeds, also while the next attempt is under way.
        """
        with self._lock:
            world = self._world()
            if not self.up:
                retry_at = max(world.link.retry_at, world.at + _ATTEMPT)
                world = replace(world, link=replace(world.link, retry_at=retry_at))
            return list(plan.held(world, queues))

    def uploaded(self, lease: Lease, exchange: Exchange, data: int, error: Exception | None = None) -> None:
        """Account for a batch of `data` bytes that was sent (0: there was none), or broke off by an error."""
        command = lease.command
        assert isinstance(command, Upload)
        with self._lock:
            self._traffic.settle(lease.reservation, command.kind, exchange)
            self._learn(exchange, error, batch=bool(data) or error is not None)
            if error is None and data:
                if exchange.size > data:
                    self._traffic.note_overhead(exchange.size - data)
                self._fair = self._fair.served(command.flow, max(exchange.size, data))

    def downloaded(self, lease: Lease, exchange: Exchange, error: Exception | None = None) -> None:
        """Account for what was fetched."""
        with self._lock:
            self._traffic.settle(lease.reservation, plan.DOWNLOADS, exchange)
            self._learn(exchange, error)

    def beside(self, purpose: str, ask: Callable[[], _T]) -> _T:
        """Ask something of the store that is nobody's data, and account for it. Raises what `ask` raises."""
        with self._traffic.exchange(purpose) as exchange:
            try:
                found = ask()
            except SkerryError as error:
                self._asked(exchange, error)
                raise
            self._asked(exchange, None)
            return found

    def listing_pause(self, shortest: float) -> float:
        """Seconds to leave between two listings, at least `shortest`, and more where bytes cost."""
        if self._metered():
            shortest *= _METERED
        with self._lock:
            return plan.listing_pause(self._policy(), self._listing_cost, shortest)

    def retry_now(self) -> None:
        """Try at once what waits after a failure: its cause may be gone."""
        with self._lock:
            self._health = self._health.retry_now()

    def _asked(self, exchange: Exchange, error: Exception | None) -> None:
        with self._lock:
            self._learn(exchange, error)
            if error is None and exchange.purpose == LISTING:
                self._listing_cost = exchange.size

    def _leased(self, command: Upload | Download, kind: str) -> Lease:
        if not command.reserve:
            return Lease(command, None)
        return Lease(command, self._traffic.reserve(kind, command.reserve, command.budget))

    def _learn(self, exchange: Exchange, error: Exception | None, *, batch: bool = False) -> None:
        if error is not None:
            if is_of_link(error):
                size = exchange.size if batch else 0
                self._health = self._health.failed(self.at, random.random(), size)  # noqa: S311 - jitter
        elif batch:
            self._health = self._health.succeeded(exchange.size, exchange.seconds)
        elif exchange.size:
            self._health = self._health.reached()

    def _world(self) -> World:
        return World(
            policy=self._policy(),
            now=self._clock(),
            at=self.at,
            ledger=self._traffic.ledger,
            calendar=self._calendar,
            link=Link(self._metered(), self._health.retry_at, self._health.batch_limit),
            fair=self._fair,
            overhead=self._traffic.overhead,
        )


def is_of_link(error: Exception) -> bool:
    """Whether an error is about the way to the store rather than about what was sent."""
    if isinstance(error, StoreUnavailableError | StoreAnswersWithPageError):
        return True
    return isinstance(error, SkerryError) and error.reason in _LINK
