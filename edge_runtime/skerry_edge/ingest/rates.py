"""Token buckets: how many events a producer and a stream may bring. Pure: the time is passed in, in seconds."""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from skerry_edge.ingest.limits import BURST_SECONDS, MAX_PRODUCERS, PRODUCER_RATE, PRODUCER_SHARE


@dataclass(frozen=True, slots=True)
class Rate:
    """`rate` tokens a second flow in, up to `burst` of them are kept."""

    rate: float
    burst: float


@dataclass(frozen=True, slots=True)
class Bucket:
    """What was left at a time. It may be negative: whoever takes more than a burst at once pays for it afterwards."""

    tokens: float
    at: float


def full(rate: Rate, now: float) -> Bucket:
    """The bucket of somebody new."""
    return Bucket(rate.burst, now)


def refilled(bucket: Bucket, rate: Rate, now: float) -> Bucket:
    """The bucket as of now; a clock that went back brings nothing."""
    flowed = max(0.0, now - bucket.at) * rate.rate
    return Bucket(min(rate.burst, bucket.tokens + flowed), now)


def wait_for(bucket: Bucket, rate: Rate, count: int) -> float:
    """Seconds until the (refilled) bucket lets `count` through; 0 if it does now."""
    lacking = min(count, rate.burst) - bucket.tokens if count else 0.0
    return max(0.0, lacking / rate.rate)


def spent(bucket: Bucket, count: int) -> Bucket:
    """The bucket after `count` went through."""
    return Bucket(bucket.tokens - count, bucket.at)


@dataclass(frozen=True, slots=True)
class Excess:
    """Too much: come again in `seconds`; `source` names the producer, None the stream as a whole."""

    seconds: float
    source: str | None


class StreamRates:
    """The buckets of one stream and of the producers seen last. Used under its owner's lock."""

    def __init__(self, max_rate: float | None) -> None:
        """`max_rate` is in events a second; None leaves only the limit that every producer has."""
        self._stream = None if max_rate is None else Rate(max_rate, max(1.0, max_rate * BURST_SECONDS))
        each = PRODUCER_RATE if max_rate is None else min(PRODUCER_RATE, max_rate * PRODUCER_SHARE)
        self._producer = Rate(each, max(1.0, each * BURST_SECONDS))
        self._bucket: Bucket | None = None
        self._producers: OrderedDict[str, Bucket] = OrderedDict()

    def take(self, sources: Mapping[str, int] | Counter[str], now: float) -> Excess | None:
        """Let the counted events of each source through, or none of them."""
        total = sum(sources.values())
        stream = self._stream
        bucket: Bucket | None = None
        if stream is not None:
            bucket = refilled(self._bucket or full(stream, now), stream, now)
            if seconds := wait_for(bucket, stream, total):
                return Excess(seconds, None)
        found = {
            source: refilled(self._producers.get(source) or full(self._producer, now), self._producer, now)
            for source in sources
        }
        for source, count in sources.items():
            if seconds := wait_for(found[source], self._producer, count):
                return Excess(seconds, source)
        if bucket is not None:
            self._bucket = spent(bucket, total)
        for source, count in sources.items():
            self._producers[source] = spent(found[source], count)
            self._producers.move_to_end(source)
        while len(self._producers) > MAX_PRODUCERS:
            self._producers.popitem(last=False)
        return None
