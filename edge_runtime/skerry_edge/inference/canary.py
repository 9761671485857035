"""A running canary: champion and challenger on the same requests, and the challenger's answer goes out if it may."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_core.assignment.document import AnalysisLimits
from skerry_core.bundle.manifest import ExpectedDisagreement
from skerry_core.evidence.collect import LATENCY_LIMIT, Collector
from skerry_core.evidence.decision import disagreeing_rows
from skerry_core.evidence.window import Evidence, Pair
from skerry_edge.inference import guardrails
from skerry_edge.inference.backend import ModelRunError, Tensor, Tensors
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.workers import Busy, Workers

CHAMPION, CHALLENGER, FALLBACK = "champion", "challenger", "fallback"
# Beyond this many challenger runs that nobody has waited for, new ones aren't queued: it hangs.
_PENDING_RUNS = 64

_SHARE_BYTES = 8


@dataclass(frozen=True)
class Run:
    """One model's run of one request; `seconds` is the time in the model, not in queues."""

    outputs: dict[str, Tensor]
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What goes out, by whom, and the pair if both ran."""

    resident: Resident
    variant: str
    run: Run
    pair: Pair | None = None


def timed_run(resident: Resident, inputs: Tensors) -> Run:
    """Run a model once; raises ModelRunError."""
    began = time.perf_counter()
    outputs = resident.session.run(inputs)
    return Run(outputs, time.perf_counter() - began)


def in_share(request_id: str, challenger: str, fraction: float) -> bool:
    """Tell whether a request is of the canary's share: a stable choice, salted so that each canary has its own."""
    hashed = hashlib.blake2b(
        request_id.encode(errors="replace"), digest_size=_SHARE_BYTES, key=challenger[-64:].encode()
    )
    return int.from_bytes(hashed.digest(), "big") < fraction * (1 << 8 * _SHARE_BYTES)


class Canary:
    """One challenger against one champion. Request threads call `answer`; the control thread reads the evidence."""

    def __init__(
        self,
        champion: Resident,
        challenger: Resident,
        limits: AnalysisLimits,
        *,
        now: Callable[[], datetime],
        tripped: Callable[[FailedMetric], None],
    ) -> None:
        """`now` is a steady wall clock; `tripped` hears once that the canary ended by its guardrails."""
        self.champion = champion
        self.challenger = challenger
        self.limits = limits
        self.running = True
        self._now = now
        self._tripped = tripped
        self._collector = Collector(champion.release.digest, challenger.release.digest, limits.interval)
        self._trips = guardrails.TripCounter(limits.guardrails.max_trips, limits.guardrails.window)
        self._lock = threading.Lock()
        self._workers = Workers("challenger", threads=1, pending=_PENDING_RUNS)
        self._overdue: Future[Run] | None = None

    @property
    def expected(self) -> ExpectedDisagreement | None:
        """What was measured between these two before, by the challenger's signed manifest."""
        measured = self.challenger.manifest.expected_disagreement
        same = measured is not None and measured.baseline == self.champion.release.digest
        return measured if same else None

    def takes(self, request_id: str) -> bool:
        """Whether this request is run by both."""
        return self.running and in_share(request_id, self.challenger.release.digest, self.limits.canary_fraction)

    def evidence(self) -> Evidence:
        """All evidence so far."""
        with self._lock:
            return self._collector.evidence()

    def stop(self) -> None:
        """End it: no request is run by the challenger any more."""
        self.running = False
        self._workers.stop()
        if self._overdue is not None and not self._overdue.done():
            # The challenger's one thread is in a run that nobody waits for. All others may finish.
            self.challenger.session.stop()

    def answer(self, inputs: Tensors) -> Answer:
        """Run both; the challenger's answer unless a guardrail trips.

        An answer that the champion can't give either is not held against the challenger. Raises ModelRunError if
        neither gives one.
        """
        submitted = time.perf_counter()
        future = self._submit(inputs)
        champion: Run | None = None
        failed: ModelRunError | None = None
        try:
            champion = timed_run(self.champion, inputs)
        except ModelRunError as error:
            failed = error
        challenger, guardrail = self._collect(future, submitted, champion)
        if champion is None:
            if challenger is None:
                raise failed or ModelRunError("ModelRunFailed", "neither model gave an answer")
            return Answer(self.challenger, CHALLENGER, challenger)
        if guardrail and guardrails.non_finite(champion.outputs) is not None:
            return Answer(self.champion, FALLBACK, champion)
        pair = self._pair(champion, challenger, guardrail)
        self._count(pair)
        if challenger is None:
            return Answer(self.champion, FALLBACK, champion, pair)
        return Answer(self.challenger, CHALLENGER, challenger, pair)

    def _submit(self, inputs: Tensors) -> "Future[Run] | None":
        """Hand the request to the challenger's thread, unless that is still busy with a run past its limit."""
        if self._overdue is not None and not self._overdue.done():
            return None
        try:
            return self._workers.submit(lambda: timed_run(self.challenger, inputs))
        except Busy:
            return None

    def _collect(self, future: "Future[Run] | None", submitted: float, champion: Run | None) -> tuple[Run | None, str]:
        """The challenger's run if it may answer, and the guardrail that it tripped if not."""
        if future is None:
            return None, LATENCY_LIMIT
        limit = self.limits.guardrails.latency_limit.total_seconds()
        try:
            run = future.result(max(0.0, limit - (time.perf_counter() - submitted)))
        except FutureTimeoutError:
            if not future.cancel():
                self._overdue = future
            return None, LATENCY_LIMIT
        except ModelRunError:
            return None, guardrails.EXCEPTION
        outputs = champion.outputs if champion is not None else None
        error = guardrails.broken(run.outputs, outputs, self.challenger.manifest, self.limits.guardrails)
        return (None, error) if error else (run, "")

    def _pair(self, champion: Run, challenger: Run | None, error: str) -> Pair:
        if challenger is None:
            # Too late counts as at least the limit, or slow runs would vanish from the medians.
            late = self.limits.guardrails.latency_limit.total_seconds() if error == LATENCY_LIMIT else None
            return Pair(self._now(), 0, 0, champion.seconds, late, error)
        decision = self.champion.manifest.decision
        ours, theirs = champion.outputs[decision.output], challenger.outputs[decision.output]
        rows = rows_of(ours)
        disagreements = disagreeing_rows(decision, ours, theirs)
        return Pair(self._now(), rows, disagreements, champion.seconds, challenger.seconds)

    def _count(self, pair: Pair) -> None:
        with self._lock:
            if not self.running:
                return
            self._collector.add(pair)
            too_many = bool(pair.error) and self._trips.trip(time.monotonic())
            if too_many:
                # From here on no request sees the challenger, whatever the control thread is busy with.
                self.running = False
        if too_many:
            limits = self.limits.guardrails
            self._tripped(
                FailedMetric(
                    name=guardrails.METRICS[pair.error],
                    observed=float(limits.max_trips),
                    limit=float(limits.max_trips),
                    message=f"{limits.max_trips} guardrail trips within {limits.window}, the last one {pair.error}",
                )
            )


def rows_of(values: Tensor) -> int:
    """Rows of a decision's output: its first dimension, and one for a scalar."""
    return int(values.shape[0]) if values.ndim else 1
