"""Alerts as something derived from streams: compiles a policy's alerts, counts and reports what comes of them."""

from collections.abc import Mapping, Sequence

import structlog
from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.syncpolicy import ALERTS, TELEMETRY
from skerry_core.batch.contents import LogName, Row
from skerry_core.errors import UserMustActError
from skerry_core.sync_policy.document import StreamPolicy, SyncPolicyDocument
from skerry_edge.sync.alerts.evaluate import Bucket, Evaluated, evaluate
from skerry_edge.sync.alerts.predicate import Predicate
from skerry_edge.sync.outbound.deriving import Step

# An alert about these would be about itself.
_UNWATCHED = frozenset({ALERTS, TELEMETRY})

_log = structlog.get_logger()

Buckets = dict[str, Bucket]


class Alerts:
    """For a DerivingLoop; `refusals` may be read by other threads."""

    state: type[Buckets] = Buckets

    def __init__(self, registry: CollectorRegistry) -> None:
        self._predicates: Sequence[Predicate] = ()
        self._refusals: Mapping[str, UserMustActError] = {}
        self._reported: set[tuple[str, str]] = set()
        self._count = Counter(
            "skerry_sync_alerts_total",
            "Records by what an alert made of them: Made, Suppressed by the bound on its rate, Undecided.",
            ["alert", "outcome"],
            registry=registry,
        )

    @property
    def refusals(self) -> Mapping[str, UserMustActError]:
        """Alerts of the policy that aren't evaluated, and why."""
        return self._refusals

    def adopt(self, document: SyncPolicyDocument) -> Sequence[StreamPolicy]:
        """Compile each alert once; one that can't be is left out and told by `refusals`."""
        predicates, refusals = [], {}
        for policy in document.alerts:
            try:
                predicates.append(Predicate.compile(policy))
            except UserMustActError as error:
                refusals[policy.name] = error
                _log.warning("alert refused", alert=policy.name, reason=error.reason, message=str(error))
        self._predicates, self._refusals = predicates, refusals
        self._reported.clear()
        return [
            stream
            for stream in document.streams
            if stream.name not in _UNWATCHED and any(predicate.watches(stream.name) for predicate in predicates)
        ]

    def take(
        self,
        log: LogName,
        rows: Sequence[Row],
        state: Buckets | None,
        *,
        until: int,  # noqa: ARG002 - alerts wait for nothing
        now: int,
    ) -> Step[Buckets]:
        """Evaluate the alerts that watch the stream."""
        watching = [predicate for predicate in self._predicates if predicate.watches(log.stream)]
        evaluated = evaluate(watching, log, rows, state or {})
        records = [(alert.id, alert.record(now)) for alert in evaluated.alerts]
        return Step(records, dict(evaluated.buckets), lambda: self._report(evaluated, log.stream))

    def _report(self, evaluated: Evaluated, stream: str) -> None:
        for alert in evaluated.alerts:
            self._count.labels(alert.name, "Made").inc()
        for name, count in evaluated.suppressed.items():
            self._count.labels(name, "Suppressed").inc(count)
        for (name, why), count in evaluated.undecided.items():
            self._count.labels(name, "Undecided").inc(count)
            if (name, why) not in self._reported:
                self._reported.add((name, why))
                _log.warning("alert can't be decided", alert=name, stream=stream, reason="AlertUndecided", why=why)
