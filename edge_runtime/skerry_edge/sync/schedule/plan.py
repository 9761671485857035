"""What goes over the site's link next, up and down: pure, from what waits, what was used and what the policy allows.

Uploads go on two lanes. Critical telemetry has one of its own, so nothing that is large or held ever stands before it;
the other tiers share the second by weight. Within a stream the newest goes first after an outage, while history keeps a
share of its own and so drains too. Downloads have a budget of their own and outrank none of this.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from skerry_api.v1alpha1.syncpolicy import OnMetered, Tier
from skerry_core.sync_policy.document import Budget, SyncPolicyDocument
from skerry_edge.sync.schedule.budgets import is_limited, most_at_once, rate_of, rolling, spelled
from skerry_edge.sync.schedule.fair import Fair, Flow
from skerry_edge.sync.schedule.ledger import DAY, Ledger
from skerry_edge.sync.schedule.windows import Calendar

DOWNLOADS = "Downloads"
# What of critical telemetry's budgets of an hour and a day only urgent streams may use, so that an alert goes when
# everything else has been spent.
RESERVE = 0.25
MOST_RESERVED = 0.5
# Where there is a budget, a batch is worth sending once what is sent beside it is at most this part of the whole.
_OVERHEAD_SHARE = 0.25
# Without one, once it has so many bytes; and in any case after the linger, which a budget stretches up to an hour.
_WORTH = 1 << 16
LINGER = 2.0
_LONGEST_LINGER = 3600.0
# With nothing to wait for, things are looked at this often, in seconds.
IDLE = 300.0


class Lane(StrEnum):
    """Uploads of two lanes run beside each other."""

    EXPRESS = "Express"
    SHARED = "Shared"


def lane_of(tier: Tier | None) -> Lane:
    """The lane of a tier's streams."""
    return Lane.EXPRESS if tier is Tier.CRITICAL_TELEMETRY else Lane.SHARED


class Part(StrEnum):
    """Which records of a stream: the newest, those that an outage left behind, or those that the hub asks for again."""

    LIVE = "Live"
    HISTORY = "History"
    RESEND = "Resend"


# Shares of a stream's bytes while it has several parts to send.
PART_WEIGHTS = {Part.LIVE: 3.0, Part.HISTORY: 1.0, Part.RESEND: 1.0}


class HeldReason(StrEnum):
    """Why something waits."""

    METERED = "Metered"
    WINDOW_CLOSED = "WindowClosed"
    BUDGET_USED = "BudgetUsed"
    BUDGET_TOO_SMALL = "BudgetTooSmall"
    LINK_DOWN = "LinkDown"
    NOT_IN_POLICY = "NotInPolicy"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits: bytes, as they will be on the wire without what goes beside them, and when that was first noticed."""

    size: int
    since: float


@dataclass(frozen=True, slots=True)
class Queue:
    """What one stream has to send, by part. `least`: bytes of the smallest batch there can be.

    It isn't tried before `retry_at`. Times are on the axis of the ledger. `tier` None: the policy doesn't know it.
    """

    stream: str
    tier: Tier | None
    waiting: Mapping[Part, Waiting]
    least: int
    urgent: bool = False
    retry_at: float = 0.0

    @property
    def lane(self) -> Lane:
        """Which of the lanes it goes on."""
        return lane_of(self.tier)


@dataclass(frozen=True, slots=True)
class Wish:
    """A blob to download: the bytes that are still missing, at most, and whether the node can't serve without it."""

    digest: str
    missing: int
    essential: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """The way to the store: whether bytes cost, when it may be tried after a failure, and what one batch may have."""

    metered: bool = False
    retry_at: float = 0.0
    batch_limit: int = 1 << 24


@dataclass(frozen=True, slots=True)
class World:
    """Everything that a decision is made from.

    `at` is now on the ledger's axis, in seconds; `overhead` what an exchange has on the wire beside its data, in bytes.
    """

    policy: SyncPolicyDocument
    now: datetime
    at: float
    ledger: Ledger
    calendar: Calendar
    link: Link = Link()
    fair: Fair = field(default_factory=Fair)
    overhead: int = 4096


@dataclass(frozen=True, slots=True)
class Upload:
    """Send a batch of at most `max_bytes`; `reserve` bytes are to be set aside first, under the tier's name."""

    stream: str
    part: Part
    max_bytes: int
    reserve: int
    budget: Budget
    flow: Flow

    @property
    def kind(self) -> str:
        """Under which name the ledger keeps it."""
        return self.flow.path[0]


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch at most `max_bytes` of a blob; `reserve` bytes are to be set aside first. None: all of it, no limit."""

    digest: str
    max_bytes: int | None
    reserve: int
    budget: Budget


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing may go now; something may in so many seconds, or when what waits changes."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Something that could go and may not. `seconds` None: not before somebody changes something."""

    what: str
    tier: Tier | None
    reason: HeldReason
    message: str
    seconds: float | None


def upload(world: World, queues: tuple[Queue, ...], lane: Lane) -> Upload | Wait:
    """Next batch of a lane.

    Whose turn it is within a tier is decided before its budget is looked at, and then waits for it: else small batches
    would for ever use up what a larger one waits for. What is urgent has no turn to wait for.
    """
    waits = [IDLE]
    offers: dict[Tier, list[_Offer]] = {}
    for queue in queues:
        if queue.lane is not lane:
            continue
        for found in _offers(world, queue):
            if isinstance(found, _Offer):
                offers.setdefault(found.tier, []).append(found)
            elif found.seconds is not None:
                waits.append(found.seconds)
    ready: list[Upload] = []
    for same in offers.values():
        urgent = [offer for offer in same if offer.urgent and isinstance(offer.outcome, Upload)]
        chosen = world.fair.choose([offer.flow for offer in urgent or same])
        outcome = next(offer.outcome for offer in same if offer.flow is chosen)
        if isinstance(outcome, Upload):
            ready.append(outcome)
        elif outcome.seconds is not None:
            waits.append(outcome.seconds)
    if not ready:
        return Wait(min(waits))
    chosen = world.fair.choose([item.flow for item in ready])
    return next(item for item in ready if item.flow is chosen)


def download(world: World, wishes: tuple[Wish, ...]) -> Download | Wait | Held:
    """Next part of the first blob that may come; what is essential comes before all, whatever it costs."""
    budget = world.policy.downloads
    if not wishes:
        return Wait(IDLE)
    wish = next((wish for wish in wishes if wish.essential), wishes[0])
    stopped = _link_down(world, DOWNLOADS, None)
    if stopped is None and not wish.essential:
        stopped = _shut(world, DOWNLOADS, None, budget)
    if stopped is not None:
        return stopped
    whole = wish.missing + world.overhead
    if wish.essential or not is_limited(budget):
        return Download(wish.digest, None, whole if is_limited(budget) else 0, budget)
    granted = _grant(world, DOWNLOADS, None, budget, whole, world.overhead + 1, 0.0)
    return granted if isinstance(granted, Held) else Download(wish.digest, granted - world.overhead, granted, budget)


def held(world: World, queues: tuple[Queue, ...]) -> Iterator[Held]:
    """Every stream that has something to send and may not, with the reason."""
    for queue in queues:
        for found in _offers(world, queue):
            told = found.outcome if isinstance(found, _Offer) else found
            if isinstance(told, Held):
                yield told
                break


def listing_pause(policy: SyncPolicyDocument, cost: int, shortest: float) -> float:
    """Seconds between two listings of `cost` bytes that take at most an eighth of what all tiers together may send.

    Listings are nobody's data, so no tier's budget is theirs; one a day is made in any case.
    """
    rates = [rate_of(tier) for tier in policy.tiers]
    if any(rate is None for rate in rates):
        return shortest
    return min(max(8 * cost / sum(rate for rate in rates if rate is not None), shortest), float(DAY))


@dataclass(frozen=True, slots=True)
class _Offer:
    """What a part of a queue would send in its turn, or what of its tier's budget it would wait for."""

    tier: Tier
    flow: Flow
    urgent: bool
    outcome: Upload | Held


def _offers(world: World, queue: Queue) -> Iterator[_Offer | Wait | Held]:
    """What each part of a queue could do now; one answer for all of them if none may go."""
    waiting = {part: waits for part, waits in queue.waiting.items() if waits.size}
    if not waiting:
        return
    if queue.tier is None:
        message = f"stream {queue.stream} is not in the site's SyncPolicy: name it there, or delete its log"
        yield Held(queue.stream, None, HeldReason.NOT_IN_POLICY, message, None)
        return
    budget = world.policy.tier(queue.tier)
    if (down := _link_down(world, queue.stream, queue.tier)) is not None:
        yield down
    elif queue.retry_at > world.at:
        yield Wait(queue.retry_at - world.at)
    elif (shut := _shut(world, queue.stream, queue.tier, budget)) is not None:
        yield shut
    else:
        for part, waits in waiting.items():
            linger = 0.0 if queue.urgent else _linger(world, budget, waits)
            if linger > 0:
                yield Wait(linger)
                continue
            offer = _offer(world, queue, queue.tier, part, waits.size)
            # What no budget ever allows has no turn.
            yield offer.outcome if isinstance(offer.outcome, Held) and offer.outcome.seconds is None else offer


def _offer(world: World, queue: Queue, tier: Tier, part: Part, size: int) -> _Offer:
    budget = world.policy.tier(tier)
    flow = Flow((tier.value, queue.stream, part.value), (float(budget.weight), 1.0, PART_WEIGHTS[part]))
    least = queue.least + world.overhead
    limited = is_limited(budget)
    # What waits is an estimate: where nothing is set aside it cuts no batch short, or a queue's end goes in tiny ones.
    most = min(size, world.link.batch_limit) if limited else world.link.batch_limit
    wanted = max(most + world.overhead, least)
    granted: int | Held = wanted
    if limited:
        spare = _spare(budget, least) if tier is Tier.CRITICAL_TELEMETRY and not queue.urgent else 0.0
        granted = _grant(world, queue.stream, tier, budget, wanted, least, spare)
    if isinstance(granted, Held):
        return _Offer(tier, flow, queue.urgent, granted)
    reserve = granted if limited else 0
    command = Upload(queue.stream, part, granted - world.overhead, reserve, budget, flow)
    return _Offer(tier, flow, queue.urgent, command)


def _grant(
    world: World, what: str, tier: Tier | None, budget: Budget, wanted: int, least: int, spare: float
) -> int | Held:
    """Bytes that may go now, at least `least` and at most `wanted`; or why not.

    Less than is worth an exchange is waited for, so a budget isn't spent on what goes beside the data.
    """
    kind = DOWNLOADS if tier is None else tier.value
    worth = min(wanted, int(world.overhead / _OVERHEAD_SHARE), most_at_once(budget, spare))
    enough = max(worth, least)
    wait = world.ledger.wait(kind, budget, enough, world.at, spare)
    if wait is None:
        message = (
            f"{what}: the next record takes about {least} bytes on the wire, which no budget of {kind} allows "
            f"({spelled(budget)}): raise it"
        )
        return Held(what, tier, HeldReason.BUDGET_TOO_SMALL, message, None)
    if wait > 0:
        reason, message = HeldReason.BUDGET_USED, f"{kind} has used its budget ({spelled(budget)})"
        if enough > most_at_once(budget, 0.0):
            reason = HeldReason.BUDGET_TOO_SMALL
            message = (
                f"{what}: the next record takes about {least} bytes on the wire, more than {kind} may use at once "
                f"({spelled(budget)}): it waits for several hours' budgets; raise it"
            )
        return Held(what, tier, reason, message, wait)
    room = world.ledger.room(kind, budget, world.at, spare)
    return wanted if room is None else max(min(wanted, room), enough)


def _link_down(world: World, what: str, tier: Tier | None) -> Held | None:
    left = world.link.retry_at - world.at
    if left <= 0:
        return None
    return Held(what, tier, HeldReason.LINK_DOWN, "the store can't be reached", left)


def _shut(world: World, what: str, tier: Tier | None, budget: Budget) -> Held | None:
    """Whether the link's price or the hour of the day holds it. Critical telemetry has no windows and is never held."""
    if tier is Tier.CRITICAL_TELEMETRY:
        return None
    kind = DOWNLOADS if tier is None else tier.value
    if world.link.metered and budget.on_metered is OnMetered.HOLD:
        return Held(what, tier, HeldReason.METERED, f"{kind} is held while the link is metered", None)
    opening = world.calendar.opening(budget.windows, world.now)
    if opening.open:
        return None
    message = f"{kind} goes from {opening.until:%Y-%m-%dT%H:%M:%SZ} on, when its window opens"
    return Held(what, tier, HeldReason.WINDOW_CLOSED, message, (opening.until - world.now).total_seconds())


def _linger(world: World, budget: Budget, waits: Waiting) -> float:
    """Seconds for which a small batch still waits for company."""
    rate = rate_of(budget)
    worth = _WORTH if rate is None else world.overhead / _OVERHEAD_SHARE
    if waits.size >= min(worth, world.link.batch_limit):
        return 0.0
    linger = LINGER
    if rate is not None:
        linger = min(max(world.overhead / _OVERHEAD_SHARE / rate, LINGER), _LONGEST_LINGER)
    return waits.since + linger - world.at


def _spare(budget: Budget, alert: int) -> float:
    """The share of critical telemetry's budget that only urgent streams may use: enough for one alert, but not all."""
    return min(max([RESERVE, *(alert / limit for limit in rolling(budget))]), MOST_RESERVED)
