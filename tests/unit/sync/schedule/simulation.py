"""A site's traffic as a story in pure time: the scheduler that ships decides, a modelled link carries."""

from __future__ import annotations

import heapq
import random
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core.sync_policy.document import Budget, DownloadPolicy, SyncPolicyDocument, TierPolicy, Window
from skerry_edge.events.record import FIRST_SEQ
from skerry_edge.sync.log_source import newest_of
from skerry_edge.sync.positions import MAX_RANGES, Range, Sent, parts
from skerry_edge.sync.schedule.fair import Fair
from skerry_edge.sync.schedule.ledger import BUCKET, DAY, HOUR, Ledger, Reservation
from skerry_edge.sync.schedule.plan import (
    DOWNLOADS,
    LINGER,
    MOST_RESERVED,
    Download,
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
    upload,
)
from skerry_edge.sync.schedule.windows import Calendar

if TYPE_CHECKING:
    from collections.abc import Callable

WEIGHTS = dict(zip(Tier, (16, 8, 4, 2, 1), strict=True))
START = datetime(2026, 3, 1, tzinfo=UTC)
OVERHEAD = 3000
# How often a lane looks again while something waits: prices and windows change.
LOOK = 300.0


def tier(
    which: Tier,
    *,
    second: int | None = None,
    hour: int | None = None,
    day: int | None = None,
    windows: tuple[Window, ...] = (),
    hold: bool = False,
) -> TierPolicy:
    return TierPolicy(
        tier=which,
        weight=WEIGHTS[which],
        bytes_per_second=second,
        bytes_per_hour=hour,
        bytes_per_day=day,
        windows=windows,
        on_metered=OnMetered.HOLD if hold else OnMetered.SEND,
    )


def policy(*tiers: TierPolicy, downloads: DownloadPolicy | None = None) -> SyncPolicyDocument:
    given = {each.tier: each for each in tiers}
    return SyncPolicyDocument(
        streams=(),
        tiers=tuple(given.get(which, tier(which)) for which in Tier),
        downloads=downloads or DownloadPolicy(on_metered=OnMetered.SEND),
    )


def lane_of(which: Tier) -> Lane:
    return Lane.EXPRESS if which is Tier.CRITICAL_TELEMETRY else Lane.SHARED


@dataclass
class Load:
    """A stream: a record of `size` bytes every `every` seconds on average, or all of `bursts`."""

    stream: str
    tier: Tier
    size: int
    every: float
    urgent: bool = False


@dataclass
class Traffic:
    """What one kind sent: begin, end and bytes of each exchange."""

    ends: list[float] = field(default_factory=list)
    begins: list[float] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0])

    def add(self, begin: float, end: float, size: int) -> None:
        self.begins.append(begin)
        self.ends.append(end)
        self.sums.append(self.sums[-1] + size)

    def within(self, begin: float, end: float) -> int:
        """Bytes of exchanges that ended in (begin, end]."""
        return self.sums[bisect_right(self.ends, end)] - self.sums[bisect_right(self.ends, begin)]

    def most(self, seconds: float) -> int:
        return max((self.within(end - seconds, end) for end in self.ends), default=0)


class Log:
    """When each record was made, by number, and what of it has been sent: the positions that ship."""

    def __init__(self, size: int):
        self.size = size
        self.births: list[float] = []
        self.sent = Sent()
        self.since: dict[Part, float] = {}

    def __len__(self) -> int:
        return sum(map(len, self.sent.gaps(len(self.births))))

    def parts(self) -> dict[Part, Range]:
        return parts(self.sent, len(self.births))

    def append(self, at: float) -> None:
        self.births.append(at)
        self.note(at)

    def note(self, at: float) -> None:
        """Parts that are there wait since they were seen first, or since some of them was sent."""
        found = self.parts()
        self.since = {part: self.since.get(part, at) for part in found}

    def take(self, part: Part, records: int, at: float) -> list[float]:
        gap = self.parts()[part]
        newest = part is Part.LIVE and len(self.sent.ranges) < MAX_RANGES
        oldest = Range(gap.after, min(gap.after + records, gap.last))
        taken = newest_of(gap, records, [(FIRST_SEQ, gap.last + 1)]) if newest else oldest
        self.sent = self.sent.add([taken])
        self.since.pop(part, None)
        self.note(at)
        return self.births[taken.after : taken.last]


@dataclass
class Delivery:
    stream: str
    born: float
    arrived: float


class Site:
    """Runs loads against a policy. `up`, `metered` and `rate` (bytes/s) say how the link is at a time."""

    def __init__(
        self,
        rules: SyncPolicyDocument,
        loads: list[Load],
        *,
        up: Callable[[float], bool] = lambda _: True,
        metered: Callable[[float], bool] = lambda _: False,
        rate: Callable[[float], float] = lambda _: 1e6,
        loss: float = 0.0,
        wishes: list[Wish] | None = None,
        seed: int = 1,
    ):
        self.rules, self.loads = rules, {load.stream: load for load in loads}
        self.up, self.metered, self.rate, self.loss = up, metered, rate, loss
        self.dice = random.Random(seed)
        self.logs = {load.stream: Log(load.size) for load in loads}
        self.wishes = list(wishes or ())
        self.ledger, self.fair, self.link = Ledger(), Fair(), Link()
        self.calendar, self.oracle = Calendar(), Calendar()
        self.failures = 0
        self.traffic: dict[str, Traffic] = defaultdict(Traffic)
        self.delivered: list[Delivery] = []
        self.fetched: dict[str, float] = {}
        self.decisions = 0

    def run(self, seconds: float) -> None:  # noqa: C901 - three kinds of events, told apart in one place
        """Live through so many seconds."""
        order = count()
        events: list[tuple[float, int, str, object]] = []

        def at(time: float, what: str, about: object) -> None:
            heapq.heappush(events, (time, next(order), what, about))

        polls: dict[object, float] = {}

        def poll(lane: object, time: float) -> None:
            if time < polls.get(lane, float("inf")):
                polls[lane] = time
                at(time, "poll", lane)

        for load in self.loads.values():
            at(self.dice.uniform(0, load.every), "record", load)
        for lane in (*Lane, DOWNLOADS):
            poll(lane, 0.0)
        busy: set[object] = set()
        while events and events[0][0] <= seconds:
            now, _, what, about = heapq.heappop(events)
            match what:
                case "record":
                    self.logs[about.stream].append(now)
                    lane = lane_of(about.tier)
                    if lane not in busy and len(self.logs[about.stream]) == 1:
                        poll(lane, now)
                    at(now + self.dice.uniform(0.5, 1.5) * about.every, "record", about)
                case "poll" if about not in busy and polls.get(about) == now:
                    del polls[about]
                    done = self._go(about, now)
                    if isinstance(done, float):
                        poll(about, now + max(done, 1e-3))
                    else:
                        busy.add(about)
                        at(done[0], "done", (about, done))
                case "done":
                    lane, (_, finish) = about
                    finish(now)
                    busy.discard(lane)
                    poll(lane, now)

    def _world(self, now: float) -> World:
        return World(
            policy=self.rules,
            now=START + timedelta(seconds=now),
            at=now,
            ledger=self.ledger,
            calendar=self.calendar,
            link=Link(self.metered(now), self.link.retry_at, self.link.batch_limit),
            fair=self.fair,
            overhead=OVERHEAD,
        )

    def queues(self, lane: Lane) -> tuple[Queue, ...]:
        return tuple(
            Queue(
                load.stream,
                load.tier,
                {part: Waiting(len(gap) * load.size, log.since[part]) for part, gap in log.parts().items()},
                load.size,
                load.urgent,
            )
            for load, log in ((load, self.logs[load.stream]) for load in self.loads.values())
            if lane_of(load.tier) is lane
        )

    def _go(self, lane: object, now: float):
        self.decisions += 1
        world = self._world(now)
        if lane == DOWNLOADS:
            return self._download(world, now)
        queues = self.queues(lane)
        match upload(world, queues, lane):
            case Wait(seconds):
                self._check_idle(world, queues, seconds)
                return max(min(seconds, LOOK), 1.0) if any(queue.waiting for queue in queues) else LOOK
            case Upload() as command:
                return self._upload(command, now)

    def _upload(self, command: Upload, now: float):
        load = self.loads[command.stream]
        available = len(self.logs[load.stream].parts()[command.part])
        records = min(available, command.max_bytes // load.size)
        assert records >= 1, "a command that can't move a record would be repeated forever"
        size = records * load.size + OVERHEAD
        assert not command.reserve or size <= command.reserve
        self._check_allowed(load.tier, self.rules.tier(load.tier), now)
        end, failed, sent = self._carry(now, size)

        def finish(at: float) -> None:
            self._settled(reserved, command.kind, now, at, sent)
            self._outcome(failed=failed, at=at)
            if failed:
                return
            taken = self.logs[load.stream].take(command.part, records, at)
            self.delivered += [Delivery(load.stream, born, at) for born in taken]
            self.fair = self.fair.served(command.flow, sent)

        reserved = self._reserve(command.kind, command.reserve, now, command.budget)
        return end, finish

    def _download(self, world: World, now: float):
        self.wishes = [wish for wish in self.wishes if wish.missing]
        match download(world, tuple(self.wishes)):
            case Download() as command:
                pass
            case other:
                return other.seconds if other.seconds is not None else 30.0
        wish = next(wish for wish in self.wishes if wish.digest == command.digest)
        if not wish.essential:
            self._check_allowed(None, self.rules.downloads, now)
        size = wish.missing if command.max_bytes is None else min(command.max_bytes, wish.missing)
        end, failed, sent = self._carry(now, size + OVERHEAD)

        def finish(at: float) -> None:
            self._settled(reserved, DOWNLOADS, now, at, sent)
            self._outcome(failed=failed, at=at)
            got = max(sent - OVERHEAD, 0)
            place = self.wishes.index(wish)
            self.wishes[place] = Wish(wish.digest, wish.missing - got, wish.essential)
            if got == wish.missing:
                self.fetched[wish.digest] = at

        reserved = self._reserve(DOWNLOADS, command.reserve, now, command.budget)
        return end, finish

    def _carry(self, now: float, size: int) -> tuple[float, bool, int]:
        """When it ends, whether it fails, and the bytes that went by then."""
        if not self.up(now):
            return now + 5.0, True, 0
        takes = 0.2 + size / self.rate(now)
        if self.dice.random() < self.loss or not self.up(now + takes):
            share = self.dice.random()
            return now + takes * share, True, int(size * share)
        return now + takes, False, size

    def _outcome(self, *, failed: bool, at: float) -> None:
        if failed:
            self.failures += 1
            retry_at = at + min(2 ** min(self.failures, 8), 240) * self.dice.uniform(0.5, 1)
            self.link = Link(False, retry_at, max(self.link.batch_limit // 2, 4096))
        else:
            self.failures = 0
            self.link = Link(False, 0.0, min(self.link.batch_limit * 2, 1 << 22))

    def _reserve(self, kind: str, size: int, now: float, budget: Budget) -> Reservation | None:
        return self.ledger.reserve(kind, size, now, budget) if size else None

    def _settled(self, reserved: Reservation | None, kind: str, begin: float, end: float, sent: int) -> None:
        if reserved is None:
            self.ledger.spend(kind, sent, end)
        else:
            self.ledger.settle(reserved, sent, end)
        self.traffic[kind].add(begin, end, sent)

    def _check_allowed(self, which: Tier | None, budget: Budget, now: float) -> None:
        if which is Tier.CRITICAL_TELEMETRY:
            return
        assert not (self.metered(now) and budget.on_metered is OnMetered.HOLD)
        wall = START + timedelta(seconds=now)
        assert not budget.windows or self.oracle.opening(budget.windows, wall).open

    def _check_idle(self, world: World, queues: tuple[Queue, ...], seconds: float) -> None:
        """No tier is kept waiting of which everything may go: an account that knows nothing of the scheduler's."""
        if self.link.retry_at > world.at:
            return
        for which in {queue.tier for queue in queues if queue.waiting}:
            same = [queue for queue in queues if queue.waiting and queue.tier is which]
            if all(self._may_go(world, queue) for queue in same):
                raise AssertionError(f"{which} could go at {world.at} and was told to wait for {seconds} s")

    def _may_go(self, world: World, queue: Queue) -> bool:
        budget = self.rules.tier(queue.tier)
        if queue.tier is not Tier.CRITICAL_TELEMETRY:
            if world.link.metered and budget.on_metered is OnMetered.HOLD:
                return False
            if budget.windows and not self.oracle.opening(budget.windows, world.now).open:
                return False
        if budget.bytes_per_second is not None:
            return False  # the ledger's tests look at rates
        limits = [
            (limit, seconds)
            for limit, seconds in ((budget.bytes_per_hour, HOUR), (budget.bytes_per_day, DAY))
            if limit is not None
        ]
        spare = 0.0 if queue.urgent or queue.tier is not Tier.CRITICAL_TELEMETRY else MOST_RESERVED
        sent = self.traffic[queue.tier.value]
        for waits in queue.waiting.values():
            waited = world.at - waits.since
            if not queue.urgent and (waited < LINGER or (limits and waits.size < 4 * OVERHEAD and waited < HOUR)):
                return False  # it may wait for company
            for limit, window in limits:
                used = sent.within(world.at - window - 2 * BUCKET, world.at)
                worth = max(min(waits.size + OVERHEAD, 4 * OVERHEAD, int(limit * (1 - spare))), queue.least + OVERHEAD)
                if used + worth > limit * (1 - spare) - 1:
                    return False
        return True

    def assert_within_budgets(self) -> None:
        """No hour and no day, wherever it begins, had more; k hours together, where a record is larger than one's."""
        kinds = [(each.tier.value, each) for each in self.rules.tiers]
        for kind, budget in [*kinds, (DOWNLOADS, self.rules.downloads)]:
            sent = self.traffic[kind]
            if budget.bytes_per_hour is not None:
                largest = max((load.size for load in self.loads.values() if load.tier.value == kind), default=0)
                hours = -(-(largest + OVERHEAD) // budget.bytes_per_hour)
                assert sent.most(hours * HOUR) <= hours * budget.bytes_per_hour, kind
            if budget.bytes_per_day is not None:
                assert sent.most(DAY) <= budget.bytes_per_day, kind

    def latencies(self, stream: str) -> list[float]:
        return [each.arrived - each.born for each in self.delivered if each.stream == stream]
