"""Statistics as something derived from the streams whose data class has Aggregate rules."""

from collections import Counter as Count
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.syncpolicy import AGGREGATES
from skerry_core.batch.contents import LogName, Row
from skerry_core.sync_policy.document import Aggregate, DataClassPolicy, StreamPolicy, SyncPolicyDocument
from skerry_edge.sync.outbound.aggregates.windows import Told, Values, Window, close, fold
from skerry_edge.sync.outbound.deriving import Step
from skerry_edge.sync.outbound.rules import Rules

Windows = tuple[Window, ...]


@dataclass(frozen=True)
class _Aggregated:
    """A data class's rules, the path of each by index, and what is to be told of those that aggregate."""

    rules: Rules
    paths: Sequence[str]
    wanted: Mapping[str, Aggregate]

    @classmethod
    def of(cls, policy: DataClassPolicy, rules: Rules) -> "_Aggregated | None":
        wanted = {rule.path: rule.aggregate for rule in policy.rules if rule.aggregate is not None}
        return cls(rules, [rule.path for rule in policy.rules], wanted) if wanted else None

    def values(self, rows: Iterable[Row]) -> Iterator[Values]:
        for row in rows:
            numbers: dict[str, list[int | float]] = {}
            for index, number in self.rules.collected(row.body):
                numbers.setdefault(self.paths[index], []).append(number)
            if numbers:
                yield Values(row.seq, row.received, numbers)

    def width(self, path: str) -> int:
        return self.wanted[path].window // timedelta(microseconds=1)


class Aggregates:
    """For a DerivingLoop."""

    state = Windows

    def __init__(self, rules: Callable[[DataClassPolicy], Rules], registry: CollectorRegistry) -> None:
        """`rules` compiles a data class's rules."""
        self._rules = rules
        self._by_stream: Mapping[str, _Aggregated] = {}
        self._count = Counter(
            "skerry_sync_aggregates_total",
            "Windows of aggregated values, by stream and outcome: Told, or Withheld for too few records.",
            ["stream", "outcome"],
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
        """Fold records into their windows, and tell those that are over."""
        aggregated = self._by_stream[log.stream]
        held = [
            window
            for window in state or ()
            if window.path in aggregated.wanted and window.width == aggregated.width(window.path)
        ]
        over, left = close(fold(held, log.epoch, aggregated.values(rows), aggregated.width), until)
        outcomes: Count[str] = Count()
        records = []
        for window in over:
            aggregate = aggregated.wanted[window.path]
            if window.records < aggregate.min_count:
                outcomes["Withheld"] += 1
                continue
            outcomes["Told"] += 1
            told = Told(log, window, aggregate)
            records.append((told.id, told.record(now)))
        return Step(records, left, lambda: self._report(log.stream, outcomes))

    def _report(self, stream: str, outcomes: Mapping[str, int]) -> None:
        for outcome, count in outcomes.items():
            self._count.labels(stream, outcome).inc(count)
