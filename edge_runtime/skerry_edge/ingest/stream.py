"""One stream that takes events in: limits, duplicates, time, and one durable append a call."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from typing import Protocol, TypeAlias

from skerry_core.sync_policy.document import StreamPolicy
from skerry_edge.events.record import MAX_BODY, NewRecord
from skerry_edge.events.settings import LogFailedError, LogFullError
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.devices import MAX_ADDED_BYTES
from skerry_edge.ingest.errors import RefusedError
from skerry_edge.ingest.limits import BURST_SECONDS, MAX_STORED_BYTES
from skerry_edge.ingest.node_time import NodeTime, stamp
from skerry_edge.ingest.rates import Excess, StreamRates
from skerry_edge.ingest.seen_ids import SeenIds, id_key
from skerry_edge.ingest.window import Claim, Window

# An append takes as long as the disk does; whoever waits for another request's append waits no longer than this.
_WAIT_SECONDS = 10.0
_MICROSECONDS = 1_000_000


class Log(Protocol):
    """What a stream's log must do (`skerry_edge.events`)."""

    @property
    def epoch(self) -> str:
        """Changes when the log's storage was lost or copied."""
        ...

    def append(self, records: Sequence[NewRecord]) -> range:
        """Store durably. Raises LogFullError, LogFailedError."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of events: `first` to `last` are numbers of those accepted now; other requests' may lie between."""

    accepted: int = 0
    duplicates: int = 0
    bytes: int = 0
    first: int | None = None
    last: int | None = None

    def plus(self, seqs: range, duplicates: int, size: int) -> "Receipt":
        """With one append's numbers and duplicates added."""
        return Receipt(
            self.accepted + len(seqs),
            self.duplicates + duplicates,
            self.bytes + size,
            seqs.start if self.first is None and seqs else self.first,
            seqs[-1] if seqs else self.last,
        )


Body: TypeAlias = Callable[[StreamPolicy, Event], bytes]


def as_it_came(_: StreamPolicy, event: Event) -> bytes:
    """Nothing is added."""
    return event.body


class Stream:
    """Takes events into one log; used by several threads."""

    def __init__(
        self,
        policy: StreamPolicy,
        log: Log,
        time: NodeTime,
        steady: Callable[[], float],
        ids: int,
        recalled_messages: Sequence[tuple[int, str]] = (),
        body: Body = as_it_came,
    ) -> None:
        """`steady` is in seconds and never goes back; about `ids` producers' ids are remembered.

        `recalled_messages` are packet identifiers and contents of the last messages from a broker, oldest first. `body`
        gives what of an event is stored: at most MAX_ADDED_BYTES more than it has, and only in streams of devices.
        """
        self.policy = policy
        self.log = log
        self.recalled_messages = tuple(recalled_messages)
        self.window = Window(SeenIds(_micros(policy.dedup_window.total_seconds()), ids))
        self._ids = ids
        self._body = body
        self._time = time
        self._steady = steady
        self._rates = StreamRates(policy.max_rate)
        self._lock = threading.Lock()

    @property
    def max_body(self) -> int:
        """Bytes that an event may have in its stored form."""
        return min(self.policy.max_body, MAX_BODY - self._added)

    @property
    def _added(self) -> int:
        """Bytes by which an event may grow when it is stored."""
        return 0 if self.policy.device_path is None else MAX_ADDED_BYTES

    @property
    def dedup_reach(self) -> timedelta:
        """How far back every producer's id is remembered now: the policy's window, or less."""
        return timedelta(microseconds=self.window.reach(self._now()))

    def adopt(self, policy: StreamPolicy, ids: int) -> None:
        """Go by another policy from now on."""
        with self._lock:
            if policy.max_rate != self.policy.max_rate:
                self._rates = StreamRates(policy.max_rate)
            self.policy, self._ids = policy, ids
        self.window.resize(_micros(policy.dedup_window.total_seconds()), ids)

    def pace(self, events: Sequence[Event]) -> Excess | None:
        """Count events against the rates; an excess says how long to wait, and nothing was counted."""
        with self._lock:
            return self._rates.take(Counter(event.source for event in events), self._steady())

    def accept(self, events: Sequence[Event]) -> Receipt:
        """Store what is new; when this returns, every event is durable, by this call or by an earlier one.

        Raises LogFullError, LogFailedError (what was stored before that is a duplicate next time), and RefusedError 503
        if another request that stores the same events doesn't end.
        """
        receipt = Receipt()
        deadline = self._steady() + _WAIT_SECONDS
        for part in _parts(events, self._added):
            receipt = self._accept(part, receipt, deadline)
        return receipt

    def _accept(self, events: Sequence[Event], receipt: Receipt, deadline: float) -> Receipt:
        waiting = list(events)
        while waiting:
            keys = [id_key(event.source, event.id) if event.given_id else None for event in waiting]
            claim = self.window.claim(keys, self._now())
            stored, size = self._store(claim, [waiting[index] for index in claim.fresh])
            receipt = receipt.plus(stored, len(claim.known) + len(claim.repeats), size)
            waiting = [waiting[index] for index in claim.waiting]
            for other in claim.others:
                if not other.wait(max(0.0, deadline - self._steady())):
                    raise RefusedError(
                        HTTPStatus.SERVICE_UNAVAILABLE, "Busy", "the same events are just being stored", retry_after=1.0
                    )
        return receipt

    def _store(self, claim: Claim, events: list[Event]) -> tuple[range, int]:
        if not events:
            self.window.settle(claim, range(0), self._now())
            return range(0), 0
        policy, reading = self.policy, self._time.read()
        grows = policy.device_path is not None
        records = []
        for event in events:
            time, flags = stamp(event.time, reading)
            body = self._body(policy, event) if grows else event.body
            records.append(NewRecord(body, time, reading.received, flags))
        try:
            seqs = self.log.append(records)
        except BaseException:
            self.window.release(claim)
            raise
        self.window.settle(claim, seqs, self._now())
        return seqs, sum(len(record.body) for record in records)

    def _now(self) -> int:
        return _micros(self._steady())


def _parts(events: Sequence[Event], added: int) -> Iterator[Sequence[Event]]:
    """What one append may take, however much each event grows."""
    start = size = 0
    for at, event in enumerate(events):
        stored = len(event.body) + added
        if size + stored > MAX_STORED_BYTES and at > start:
            yield events[start:at]
            start, size = at, 0
        size += stored
    yield events[start:]


def refusal(error: LogFullError | LogFailedError) -> RefusedError:
    """A log's refusal as a request's: 507 if there is no room, 503 if the disk failed."""
    if isinstance(error, LogFullError):
        return RefusedError(HTTPStatus.INSUFFICIENT_STORAGE, error.reason, str(error), retry_after=BURST_SECONDS)
    return RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, error.reason, str(error), retry_after=1.0)


def _micros(seconds: float) -> int:
    return int(seconds * _MICROSECONDS)
