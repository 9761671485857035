"""Every byte that this process sends or receives, by purpose; and the ledger of what budgets have left, on disk.

`traffic.json` holds the ledger and what went by the hour. A budget must not be spent twice because the process was
killed, so bytes are on disk as used before the first of them leaves. A small part of the budget is noted ahead with
each write; only when it is used up the file is written again. After a crash what was noted ahead counts as used.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge

from skerry_core.durable import write_file
from skerry_core.sync_policy.document import Budget, SyncPolicyDocument
from skerry_edge.sync.schedule.ledger import DAY, HOUR, Ledger, Reservation
from skerry_edge.sync.schedule.plan import DOWNLOADS
from skerry_edge.sync.steady import Steady

MODELS = "Models"
POLICIES = "Policies"
LISTING = "Listing"
RESEND = "Resend"
# To the site's own API server and back: not over the site's link.
LOCAL = "Local"
# Snapshots of features, from and to the site's other nodes: not over the site's link either.
NEIGHBOURS = "Neighbours"
# Pushed to the site's own receiver, which may be anywhere.
METRICS = "Metrics"
_OTHER = "Other"

FLUSH = timedelta(minutes=1)
# Hours of which the file tells.
_HOURS = 48
# The part of the smallest budget that is noted ahead.
_AHEAD = 64
# What goes beside a batch's data until the first exchange has told: form fields, heads, and a TLS handshake.
_FIRST_OVERHEAD = 9_000
_REMEMBERED = 16
_LONGEST_NAP = 5.0

_log = structlog.get_logger()


@dataclass
class Exchange:
    """One or more requests for one purpose, in one thread. `rate`: bytes a second that they may take; None: any."""

    purpose: str
    rate: int | None = None
    sent: int = 0
    received: int = 0
    began: float = field(default_factory=time.monotonic)

    @property
    def size(self) -> int:
        """Bytes both ways."""
        return self.sent + self.received

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.monotonic() - self.began

    def pace(self) -> None:
        """Take as long as the rate wants it."""
        if self.rate is not None:
            ahead = self.size / self.rate - self.seconds
            if ahead > 0:
                time.sleep(min(ahead, _LONGEST_NAP))


class Traffic:
    """Counts, and keeps the ledger. Threads share it; it is the meter of all connections (`skerry_core.store.metered`).

    Raises OSError where budgets have to be noted and can't be.
    """

    def __init__(
        self,
        path: Path,
        steady: Callable[[Any], Steady],
        registry: CollectorRegistry,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`steady` makes the axis from what the file noted of it, or from None."""
        self._path = path
        self._clock = clock
        # Of the ledger too, which the scheduler plans with: nothing that holds it takes the lock of a log.
        self.lock = threading.RLock()
        self._local = threading.local()
        noted = _read(path)
        self.steady = steady(noted.get("clock"))
        self.ledger, self._overheads = _restored(noted, self.steady.now())
        self._prepaid: dict[str, int] = {}
        self._hours: dict[str, dict[str, list[int]]] = _hours(noted)
        self._dirty = False
        self._bytes = Counter(
            "skerry_sync_bytes_total",
            "Bytes of HTTP heads and bodies, and of TLS handshakes by estimate, by purpose and direction.",
            ["purpose", "direction"],
            registry=registry,
        )
        self._used = Gauge(
            "skerry_sync_budget_used_bytes",
            "Bytes that count against the budgets of a tier or of downloads, in the last hour and day.",
            ["kind", "window"],
            registry=registry,
        )
        self._limit = Gauge(
            "skerry_sync_budget_bytes", "Budgets by tier and window.", ["kind", "window"], registry=registry
        )

    @property
    def overhead(self) -> int:
        """Bytes on the wire beside a batch's data: the most of the last exchanges."""
        with self.lock:
            return max(self._overheads, default=_FIRST_OVERHEAD)

    @contextmanager
    def exchange(self, purpose: str, rate: int | None = None) -> Iterator[Exchange]:
        """Count what this thread sends and receives meanwhile for a purpose."""
        before = getattr(self._local, "exchange", None)
        self._local.exchange = exchange = Exchange(purpose, rate)
        try:
            yield exchange
        finally:
            self._local.exchange = before

    def sent(self, size: int) -> None:
        """As a meter's."""
        exchange = self._count(size, 0, "sent")
        if exchange is not None:
            exchange.sent += size
            exchange.pace()

    def received(self, size: int) -> None:
        """As a meter's."""
        exchange = self._count(size, 1, "received")
        if exchange is not None:
            exchange.received += size
            exchange.pace()

    def reserve(self, kind: str, size: int, budget: Budget) -> Reservation:
        """Set bytes aside, durably. Raises OSError; then nothing may be sent."""
        with self.lock:
            at = self.steady.now()
            reservation = self.ledger.reserve(kind, size, at, budget)
            limits = [limit for limit in (budget.bytes_per_hour, budget.bytes_per_day) if limit is not None]
            if limits and self._prepaid.get(kind, 0) < size:
                self._prepaid[kind] = min(limits) // _AHEAD
                try:
                    self._write()
                except OSError:
                    self._prepaid[kind] = 0
                    self.ledger.settle(reservation, 0, at)
                    raise
            elif limits:
                self._prepaid[kind] -= size
            return reservation

    def settle(self, reservation: Reservation | None, kind: str, exchange: Exchange) -> None:
        """Count what an exchange really took, in place of what was set aside for it, if something was."""
        with self.lock:
            at = self.steady.now()
            if reservation is None:
                self.ledger.spend(kind, exchange.size, at)
                return
            self.ledger.settle(reservation, exchange.size, at)
            over = exchange.size - reservation.size
            if over > 0:
                self._prepaid[kind] = self._prepaid.get(kind, 0) - over

    def note_overhead(self, size: int) -> None:
        """Learn what went beside the data of an exchange that succeeded."""
        with self.lock:
            self._overheads.append(size)

    def flush(self) -> timedelta:
        """Write what was counted, if anything was; the step of a loop."""
        with self.lock:
            if self._dirty:
                self._write()
        return FLUSH

    def show(self, policy: SyncPolicyDocument) -> None:
        """Tell the budgets and what is used of them in the metrics."""
        budgets: list[tuple[str, Budget]] = [(tier.tier.value, tier) for tier in policy.tiers]
        budgets.append((DOWNLOADS, policy.downloads))
        with self.lock:
            at = self.steady.now()
            for kind, budget in budgets:
                for window, seconds, limit in (
                    ("hour", HOUR, budget.bytes_per_hour),
                    ("day", DAY, budget.bytes_per_day),
                ):
                    self._used.labels(kind, window).set(self.ledger.used(kind, seconds, at))
                    if limit is not None:
                        self._limit.labels(kind, window).set(limit)

    def _count(self, size: int, column: int, direction: str) -> Exchange | None:
        exchange: Exchange | None = getattr(self._local, "exchange", None)
        purpose = _OTHER if exchange is None else exchange.purpose
        self._bytes.labels(purpose, direction).inc(size)
        with self.lock:
            hour = self._hours.setdefault(f"{self._clock():%Y-%m-%dT%H}", {})
            hour.setdefault(purpose, [0, 0])[column] += size
            self._dirty = True
        return exchange

    def _write(self) -> None:
        for hour in list(self._hours)[:-_HOURS]:
            del self._hours[hour]
        state = {
            "clock": self.steady.note(),
            "used": self.ledger.state(self.steady.now()),
            "ahead": {kind: size for kind, size in self._prepaid.items() if size > 0},
            "overheads": list(self._overheads),
            "hours": self._hours,
        }
        write_file(self._path, json.dumps(state, separators=(",", ":")).encode())
        self._dirty = False


@dataclass(frozen=True)
class OnePurpose:
    """A meter of connections that are for one purpose, whatever else their thread does."""

    traffic: Traffic
    purpose: str

    def sent(self, size: int) -> None:
        """As a meter's."""
        with self.traffic.exchange(self.purpose):
            self.traffic.sent(size)

    def received(self, size: int) -> None:
        """As a meter's."""
        with self.traffic.exchange(self.purpose):
            self.traffic.received(size)


def _read(path: Path) -> dict[str, Any]:
    try:
        noted = json.loads(path.read_bytes())
        return noted if isinstance(noted, dict) else {}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("traffic can't be read, budgets begin anew", reason="TrafficNoteLost", message=str(error))
        return {}


def _restored(noted: dict[str, Any], at: float) -> tuple[Ledger, deque[int]]:
    try:
        ledger = Ledger.restored(noted.get("used", {}))
        for kind, size in noted.get("ahead", {}).items():
            ledger.spend(str(kind), int(size), at)
        overheads = deque((int(size) for size in noted.get("overheads", ())), maxlen=_REMEMBERED)
    except (ValueError, TypeError, AttributeError) as error:
        _log.warning("traffic can't be read, budgets begin anew", reason="TrafficNoteLost", message=str(error))
        ledger, overheads = Ledger(), deque(maxlen=_REMEMBERED)
    return ledger, overheads


def _hours(noted: dict[str, Any]) -> dict[str, dict[str, list[int]]]:
    try:
        return {
            str(hour): {str(purpose): [int(sent), int(received)] for purpose, (sent, received) in purposes.items()}
            for hour, purposes in noted.get("hours", {}).items()
        }
    except (ValueError, TypeError, AttributeError):
        return {}
