"""Statistics as something derived from the streams whose data class has Aggregate rules."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.syncpolicy import AGGREGATES, Consent
from skerry_core.batch.contents import LogName, Row
from skerry_core.sync_policy.document import Aggregate, DataClassPolicy, StreamPolicy, SyncPolicyDocument
from skerry_edge.ingest.consent import entity_key
from skerry_edge.sync.outbound.aggregates.windows import Told, Values, Window, close, fold
from skerry_edge.sync.outbound.consent import Consents
from skerry_edge.sync.outbound.deriving import Step
from skerry_edge.sync.outbound.entity import entity_of
from skerry_edge.sync.outbound.parts import without
from skerry_edge.sync.outbound.rules import Rules

Windows = tuple[Window, ...]


@dataclass(frozen=True)
class _Aggregated:
    """A data class's rules, the path of each by index, and what is to be told of those that aggregate.

    `consent` is the data class if it needs consent.
    """

    consent: str | None
    rules: Rules
    paths: Sequence[str]
    wanted: Mapping[str, Aggregate]

    @classmethod
    def of(cls, policy: DataClassPolicy, rules: Rules) -> "_Aggregated | None":
        wanted = {rule.path: rule.aggregate for rule in policy.rules if rule.aggregate is not None}
        consent = policy.name if policy.consent is Consent.REQUIRED else None
        return cls(consent, rules, [rule.path for rule in policy.rules], wanted) if wanted else None

    def values(self, rows: Iterable[Row]) -> Iterator[Values]:
        for row in rows:
            numbers: dict[str, list[int | float]] = {}
            for index, number in self.rules.collected(row.body):
                numbers.setdefault(self.paths[index], []).append(number)
            if numbers:
                entity = "" if self.consent is None else entity_key(entity_of(row.body) or "")
                yield Values(row.seq, row.received, numbers, row.hlc, entity)

    def width(self, path: str) -> int:
        return self.wanted[path].window // timedelta(microseconds=1)


class Aggregates:
    """For a DerivingLoop."""

    state = Windows

    def __init__(
        self,
        rules: Callable[[DataClassPolicy], Rules],
        consents: Callable[[], Consents],
        registry: CollectorRegistry,
    ) -> None:
        """`rules` compiles a data class's rules; `consents` tells who consents now, or raises RetryError."""
        self._rules = rules
        self._consents = consents
        self._by_stream: Mapping[str, _Aggregated] = {}
        self._count = Counter(
            "skerry_sync_aggregates_total",
            "Windows of aggregated values, by stream and outcome: Told, or Withheld for too few records.",
            ["stream", "outcome"],
            registry=registry,
        )
        self._left_out = Counter(
            "skerry_sync_aggregates_left_out_total",
            "Numbers that went into no window, since its stream has too many entities to take each back.",
            ["stream"],
            registry=registry,
        )

    def adopt(self, document: SyncPolicyDocument) -> Sequence[StreamPolicy]:
        """The streams with such rules. Windows of rules that are gone are told no more."""
        classes = {policy.name: _Aggregated.of(policy, self._rules(policy)) for policy in document.data_classes}
        followed, by_stream = [], {}
        for stream in document.streams:
            aggregated = None if stream.data_class is None else classes[stream.data_class]
            if aggregated is not None and stream.name != AGGREGATES:
                followed.append(stream)
                by_stream[stream.name] = aggregated
        self._by_stream = by_stream
        return followed

    def take(self, log: LogName, rows: Sequence[Row], state: Windows | None, *, until: int, now: int) -> Step[Windows]:
        """Fold records into their windows, and tell those that are over.

        What an entity has in open windows goes once it withdraws its consent. Raises RetryError: then nothing is told.
        """
        aggregated = self._by_stream[log.stream]
        held = [
            window
            for window in state or ()
            if window.path in aggregated.wanted and window.width == aggregated.width(window.path)
        ]
        consented = self._consented(aggregated.consent)
        # Before, so that what comes after a new grant isn't joined to what was withdrawn; and behind, since consent
        # may have been withdrawn after the records were admitted.
        folded = fold(consented(held), log.epoch, aggregated.values(rows), aggregated.width)
        over, left = close(consented(folded.windows), until)
        outcomes: Count[str] = Count()
        records = []
        for window in over:
            aggregate = aggregated.wanted[window.path]
            if window.sums.records < aggregate.min_count:
                outcomes["Withheld"] += 1
                continue
            outcomes["Told"] += 1
            told = Told(log, window, aggregate)
            records.append((told.id, told.record(now)))
        return Step(records, left, lambda: self._report(log.stream, outcomes, folded.left_out))

    def _consented(self, data_class: str | None) -> Callable[[Sequence[Window]], Windows]:
        """Leaves of windows what there is consent for now."""
        if data_class is None:
            return tuple
        consents = self._consents()
        return lambda windows: without(windows, lambda entity, hlc: consents.covers(entity, data_class, hlc))

    def _report(self, stream: str, outcomes: Mapping[str, int], left_out: int) -> None:
        self._left_out.labels(stream).inc(left_out)
        for outcome, count in outcomes.items():
            self._count.labels(stream, outcome).inc(count)
