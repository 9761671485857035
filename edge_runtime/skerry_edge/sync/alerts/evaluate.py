"""From records to alerts. Pure: the same records in the same order make the same alerts, however often it is done.

That holds for the bound on their rate, too: it goes by when the records came in, one bucket for each alert on each
stream. Hybrid time would not do: after a clock that was ahead it stands still until then.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from skerry_core.batch.contents import LogName, Row
from skerry_core.batch.flags import Flags
from skerry_edge.events.record import NewRecord
from skerry_edge.sync.alerts.predicate import Predicate, Subject, UndecidedError

TYPE = "dev.skerry.alert"
# So many at once, and then one every so many milliseconds of the node's clock; more are counted in the next one.
BURST = 10
EVERY_MS = 60_000

_CLOCKS = Flags.TIME_MISSING | Flags.TIME_SKEWED | Flags.CLOCK_SUSPECT
_encode = msgspec.json.Encoder().encode


class Bucket(msgspec.Struct, frozen=True):
    """What one alert on one stream may still make: as of `at` (ms since 1970), and what was `suppressed` since."""

    tokens: float = BURST
    at: int = 0
    suppressed: int = 0


@dataclass(frozen=True)
class Alert:
    """One match that makes an urgent event. It names the record and holds nothing of it: that obeys other rules."""

    name: str
    message: str
    log: LogName
    seq: int
    time: int
    flags: Flags
    suppressed: int

    @property
    def id(self) -> str:
        """The same for the same alert on the same record, whenever and wherever it is evaluated."""
        parts = (self.name, self.log.site, self.log.node, self.log.stream, self.log.epoch, str(self.seq))
        return hashlib.sha256("\0".join(("skerry-alert", *parts)).encode()).hexdigest()[:32]

    def record(self, received: int) -> NewRecord:
        """As a CloudEvent of the stream `alerts`; `received` in µs since 1970."""
        data = {
            "alert": self.name,
            "message": self.message,
            "stream": self.log.stream,
            "epoch": self.log.epoch,
            "seq": self.seq,
            "suppressed": self.suppressed,
        }
        body = {
            "specversion": "1.0",
            "id": self.id,
            "source": f"/sites/{self.log.site}/nodes/{self.log.node}",
            "type": TYPE,
            "subject": self.name,
            "datacontenttype": "application/json",
            "data": data,
        }
        return NewRecord(_encode(body), self.time, received, self.flags)


@dataclass(frozen=True)
class Evaluated:
    """What came of some records: alerts in their order, the buckets by alert after them, and counts by alert.

    `undecided` counts by (alert, why).
    """

    alerts: Sequence[Alert] = ()
    buckets: Mapping[str, Bucket] = field(default_factory=dict)
    suppressed: Mapping[str, int] = field(default_factory=dict)
    undecided: Mapping[tuple[str, str], int] = field(default_factory=dict)


def evaluate(
    predicates: Sequence[Predicate], log: LogName, rows: Sequence[Row], buckets: Mapping[str, Bucket]
) -> Evaluated:
    """Evaluate alerts that watch one stream over its records; a condition that can't be decided doesn't hold."""
    alerts: list[Alert] = []
    suppressed: Counter[str] = Counter()
    undecided: Counter[tuple[str, str]] = Counter()
    after = {predicate.policy.name: buckets.get(predicate.policy.name, Bucket()) for predicate in predicates}
    for row in rows:
        for predicate in _fulfilled(predicates, log.stream, row.body, undecided):
            name = predicate.policy.name
            bucket = _refilled(after[name], row.received // 1000)
            if bucket.tokens < 1:
                suppressed[name] += 1
                after[name] = Bucket(bucket.tokens, bucket.at, bucket.suppressed + 1)
                continue
            after[name] = Bucket(bucket.tokens - 1, bucket.at)
            flags = Flags(row.flags) & _CLOCKS
            alerts.append(Alert(name, predicate.policy.message, log, row.seq, row.time, flags, bucket.suppressed))
    return Evaluated(alerts, after, suppressed, undecided)


def _fulfilled(
    predicates: Sequence[Predicate], stream: str, body: bytes, undecided: Counter[tuple[str, str]]
) -> Sequence[Predicate]:
    try:
        subject = Subject(stream, body)
    except UndecidedError as error:
        undecided.update((predicate.policy.name, str(error)) for predicate in predicates)
        return ()
    fulfilled = []
    for predicate in predicates:
        try:
            if subject.fulfils(predicate):
                fulfilled.append(predicate)
        except UndecidedError as error:
            undecided[predicate.policy.name, str(error)] += 1
    return fulfilled


def _refilled(bucket: Bucket, at: int) -> Bucket:
    if at < bucket.at - EVERY_MS:
        return Bucket(bucket.tokens, at, bucket.suppressed)  # the clock was set back
    passed = max(0, at - bucket.at)
    return Bucket(min(BURST, bucket.tokens + passed / EVERY_MS), max(at, bucket.at), bucket.suppressed)
