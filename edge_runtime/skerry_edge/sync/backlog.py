"""What waits on the node, by tier, since when and why: for the metrics and the node's status."""

from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge

from skerry_api.v1alpha1.runtimenode import TierQueue
from skerry_api.v1alpha1.syncpolicy import Tier
from skerry_core.errors import SkerryError
from skerry_core.sync_policy.document import SyncPolicyDocument
from skerry_edge.events.reader import LogReader
from skerry_edge.sync.outgoing import Outgoing
from skerry_edge.sync.report import coarse, standing
from skerry_edge.sync.schedule.plan import Held, HeldReason
from skerry_edge.sync.scheduler import Scheduler
from skerry_edge.sync.upload import Uploader

# The status tells what has been held for so long: what a budget or a window lets go in a moment is no news.
_HELD_FOR = timedelta(seconds=30)
_MESSAGE = 512


@dataclass(frozen=True)
class TierBacklog:
    """Records and bytes that wait, seconds since the oldest came in, and why it may not go, if it may not."""

    records: int = 0
    size: int = 0
    oldest_seconds: float = 0.0
    held: Held | None = None


class Backlog:
    """Looks when asked; used by one thread."""

    def __init__(
        self,
        uploader: Uploader,
        scheduler: Scheduler,
        policy: Callable[[], SyncPolicyDocument],
        registry: CollectorRegistry,
    ) -> None:
        self._uploader = uploader
        self._scheduler = scheduler
        self._policy = policy
        self._readers: dict[str, LogReader] = {}
        self._samples: deque[tuple[datetime, dict[Tier, TierBacklog]]] = deque(maxlen=120)
        names = (("records", "Records"), ("bytes", "Bytes, compressed, by estimate,"))
        self._records, self._bytes = (
            Gauge(f"skerry_sync_queue_{name}", f"{what} that wait for upload.", ["tier"], registry=registry)
            for name, what in names
        )
        self._oldest = Gauge(
            "skerry_sync_queue_oldest_seconds",
            "Since the oldest record that waits came in.",
            ["tier"],
            registry=registry,
        )
        self._held = Gauge(
            "skerry_sync_held",
            "1 while something of the tier may not go, by reason.",
            ["tier", "reason"],
            registry=registry,
        )

    def look(self, now: datetime) -> dict[Tier, TierBacklog]:
        """What waits now; tells the metrics."""
        policy = self._policy()
        queues = [queue for _, queue in self._uploader.queues().values()]
        reasons = {held.what: held for held in self._scheduler.held(tuple(queues))}
        items = self._uploader.outgoing()
        by_tier: defaultdict[Tier, list[Outgoing]] = defaultdict(list)
        for item in items:
            if (stream := policy.stream(item.stream)) is not None:
                by_tier[stream.tier].append(item)
        self._readers = {item.key: self._readers.get(item.key) or LogReader(item.source.folder) for item in items}
        found = {}
        self._held.clear()
        for tier in Tier:
            waiting = [item.waiting() for item in by_tier[tier]]
            held = [reasons[item.key] for item in by_tier[tier] if item.key in reasons]
            found[tier] = TierBacklog(
                sum(records for records, _ in waiting),
                sum(size for _, size in waiting),
                max((self._age(item, now) for item in by_tier[tier]), default=0.0),
                held[0] if held else None,
            )
            self._records.labels(tier.value).set(found[tier].records)
            self._bytes.labels(tier.value).set(found[tier].size)
            self._oldest.labels(tier.value).set(found[tier].oldest_seconds)
            for each in held:
                self._held.labels(tier.value, each.reason.value).set(1)
        self._samples.append((now, found))
        return found

    def depth(self, now: datetime) -> int:
        """Records that stand in all queues, not those that pass through."""
        return standing([(at, sum(tier.records for tier in found.values())) for at, found in self._samples], now)

    def queues(self, now: datetime) -> tuple[TierQueue, ...]:
        """What the node's status tells."""
        told = []
        for tier in Tier:
            depth = coarse(standing([(at, found[tier].records) for at, found in self._samples], now))
            held = self._lasting(tier, now)
            if depth or held is not None:
                told.append(
                    TierQueue(
                        tier=tier,
                        depth=depth,
                        held_reason="" if held is None else held.reason.value,
                        message="" if held is None else held.message[:_MESSAGE],
                    )
                )
        return tuple(told)

    def _lasting(self, tier: Tier, now: datetime) -> Held | None:
        """Why a tier is held, if it has been throughout; a link that is down is told elsewhere."""
        recent = [found[tier].held for at, found in self._samples if now - at <= _HELD_FOR]
        if not recent or self._samples[0][0] > now - _HELD_FOR:
            return None
        for held in recent:
            if held is None or held.reason is HeldReason.LINK_DOWN:
                return None
        return recent[-1]

    def _age(self, item: Outgoing, now: datetime) -> float:
        oldest = item.oldest()
        if oldest is None:
            return 0.0
        try:
            batches = self._readers[item.key].read(oldest.after + 1, 1)
        except (OSError, SkerryError):
            return 0.0
        if not batches or batches[0].first > oldest.last:
            return 0.0
        return max(now.timestamp() - int(batches[0].received[0]) / 1e6, 0.0)
