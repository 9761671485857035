"""What HTTP and MQTT have in common: judged events go into a stream, malformed ones to the dead letters."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from time import perf_counter
from typing import Any

from skerry_api.v1alpha1.syncpolicy import CONSENT, LABELS
from skerry_core.sync_policy.document import StreamPolicy
from skerry_edge.events.settings import LogFailedError, LogFullError
from skerry_edge.ingest import consent
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.dead_letters import DeadLetters
from skerry_edge.ingest.devices import names_device
from skerry_edge.ingest.errors import Malformed, MalformedError, RefusedError
from skerry_edge.ingest.label import read_label
from skerry_edge.ingest.limits import MAX_STORED_BYTES
from skerry_edge.ingest.metrics import IngestMetrics
from skerry_edge.ingest.stream import Receipt, Stream, refusal

# Streams whose events Skerry itself reads.
_CHECKS: Mapping[str, Callable[[bytes], Any]] = {CONSENT: consent.read_change, LABELS: read_label}


@dataclass(frozen=True, slots=True)
class Outcome:
    """A receipt for what was taken in, and what was refused, by its place in the request."""

    receipt: Receipt
    rejected: tuple[tuple[int, Malformed], ...]


class Intake:
    """Takes events in, for several threads."""

    def __init__(self, dead_letters: DeadLetters, metrics: IngestMetrics, consent_changed: Callable[[], None]) -> None:
        """`consent_changed` is called after events of the stream `consent` became durable; it must not block."""
        self._dead_letters = dead_letters
        self._metrics = metrics
        self._consent_changed = consent_changed
        # Parsing holds the interpreter; one request at a time leaves inference its share of it.
        self._parsing = threading.Lock()

    def take(
        self,
        stream: Stream,
        parse: Callable[[], Sequence[Event | Malformed]],
        *,
        via: str,
        origin: Callable[[int], str],
    ) -> Outcome:
        """Parse, judge and store. `origin` says where the event with an index came from, if it is malformed.

        Raises RefusedError: nothing, or nothing more, of this request was stored.
        """
        name, most = stream.policy.name, stream.max_body
        with self._parsing:
            judged = [_judged(found, stream.policy, most) for found in parse()]
        events = [found for found in judged if isinstance(found, Event)]
        rejected = tuple((index, found) for index, found in enumerate(judged) if isinstance(found, Malformed))
        if sum(len(event.body) for event in events) > MAX_STORED_BYTES:
            message = f"the events of one request may have at most {MAX_STORED_BYTES} bytes as they are stored"
            raise RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestTooLarge", message)
        excess = stream.pace(events)
        if excess is not None:
            who = "this stream takes" if excess.source is None else f"{excess.source[:200]!r} sends"
            raise RefusedError(
                HTTPStatus.TOO_MANY_REQUESTS,
                "RateLimited",
                f"{who} no more for {excess.seconds:.1f} s",
                retry_after=excess.seconds,
            )
        receipt = self._store(stream, events)
        for _, malformed in rejected:
            self._metrics.rejected.labels(name, malformed.reason).inc()
        self._dead_letters.put(name, [(origin(index), malformed) for index, malformed in rejected])
        self._metrics.accepted.labels(name, via).inc(receipt.accepted)
        self._metrics.duplicates.labels(name, via).inc(receipt.duplicates)
        self._metrics.bytes.labels(name).inc(receipt.bytes)
        if receipt.accepted and name == CONSENT:
            self._consent_changed()
        return Outcome(receipt, rejected)

    def _store(self, stream: Stream, events: Sequence[Event]) -> Receipt:
        if not events:
            return Receipt()
        began = perf_counter()
        try:
            receipt = stream.accept(events)
        except (LogFullError, LogFailedError) as error:
            raise refusal(error) from error
        if receipt.accepted:
            self._metrics.append_seconds.labels(stream.policy.name).observe(perf_counter() - began)
        return receipt


def _judged(found: Event | Malformed, policy: StreamPolicy, most: int) -> Event | Malformed:
    """What the stream itself asks of an event, which may have `most` bytes."""
    if isinstance(found, Malformed):
        return found
    if len(found.body) > most:
        return Malformed("TooLarge", f"an event of this stream may have at most {most} bytes", found.body)
    if policy.device_path is not None and names_device(found.body):
        return Malformed(
            "ReservedAttribute",
            "in this stream `device` is what the site knows of the device: name yours otherwise",
            found.body,
        )
    check = _CHECKS.get(policy.name)
    if check is not None:
        try:
            check(found.body)
        except MalformedError as error:
            return Malformed(error.reason, str(error), found.body)
    return found
