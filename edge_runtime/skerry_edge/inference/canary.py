"""A running canary: champion and challenger on the same requests, and the challenger's answer goes out if it may."""

import hashlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass, field, replace
from datetime import datetime

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_core.assignment.document import AnalysisLimits
from skerry_core.bundle.manifest import ExpectedDisagreement
from skerry_core.evidence.collect import LATENCY_LIMIT, Collector
from skerry_core.evidence.decision import disagreeing_rows
from skerry_core.evidence.window import Evidence, Labelled, Pair
from skerry_edge.inference import guardrails
from skerry_edge.inference.backend import ModelRunError, Tensor, Tensors
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.workers import Busy, Workers

CHAMPION, CHALLENGER, FALLBACK = "champion", "challenger", "fallback"
# More than there are request threads to wait for them.
_PENDING_RUNS = 64

_SHARE_BYTES = 8


@dataclass(frozen=True)
class Run:
    """One model's run of one request; `seconds` is the time in the model, not in queues."""

    outputs: dict[str, Tensor]
    seconds: float


@dataclass(frozen=True)
class Answer:
    """What goes out, by whom, and the pair if both ran.

    `variant` is "fallback" if a guardrail withheld the challenger's answer, "champion" if there was none to withhold.
    `other` is the champion's run where the challenger's went out.
    """

    resident: Resident
    variant: str
    run: Run
    pair: Pair | None = None
    other: Run | None = None


@dataclass(frozen=True)
class Ended:
    """What is still told of a canary that has ended. It holds no model: their memory is the next challenger's."""

    expected: ExpectedDisagreement | None
    seen: Evidence
    labelled: Callable[[str, str], Labelled]
    running: bool = False

    def evidence(self) -> Evidence:
        """All evidence; labels still come."""
        return replace(self.seen, labelled=self.labelled(self.seen.champion, self.seen.challenger))


@dataclass
class _Trial:
    """The challenger's run of one request; `began` and `counted` are perf_counter seconds, None before."""

    future: Future[Run] = field(init=False)
    began: float | None = None
    counted: float | None = None


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
        labelled: Callable[[str, str], Labelled] = lambda *_: Labelled(),
    ) -> None:
        """`now` is a steady wall clock; `tripped` hears once that the canary ended by its guardrails.

        `labelled` tells what labels say of two digests by now.
        """
        self.champion = champion
        self.challenger = challenger
        self.limits = limits
        self.running = True
        self._now = now
        self._tripped = tripped
        self._labelled = labelled
        self._collector = Collector(champion.release.digest, challenger.release.digest, limits.interval)
        self._trips = guardrails.TripCounter(limits.guardrails.max_trips, limits.guardrails.window)
        self._lock = threading.Lock()
        self._workers = Workers("challenger", threads=1, pending=_PENDING_RUNS)
        # A run that hangs trips again and again, just often enough to be one too many within the window.
        self._trip_again = limits.guardrails.window.total_seconds() / limits.guardrails.max_trips
        self._overdue: _Trial | None = None

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
            evidence = self._collector.evidence()
        return replace(evidence, labelled=self._labelled(evidence.champion, evidence.challenger))

    def stop(self) -> None:
        """End it: no request is run by the challenger any more."""
        self.running = False
        self._workers.stop()
        if self._stuck() is not None:
            # The challenger's one thread is in a run that nobody waits for. All others may finish.
            self.challenger.session.stop()

    def ended(self) -> Ended:
        """What to keep of it once it has been stopped."""
        return Ended(self.expected, self.evidence(), self._labelled)

    def answer(self, inputs: Tensors, theirs: Tensors | None = None) -> Answer:
        """Run both; the challenger's answer unless a guardrail trips or its one thread didn't come to the request.

        `theirs` are the challenger's inputs where they are others: its features may be of another version.

        An answer that the champion can't give either is not held against the challenger. Raises ModelRunError if
        neither gives one.
        """
        submitted = time.perf_counter()
        trial = self._submit(inputs if theirs is None else theirs)
        champion: Run | None = None
        failed: ModelRunError | None = None
        try:
            champion = timed_run(self.champion, inputs)
        except ModelRunError as error:
            failed = error
        challenger, guardrail = self._collect(trial, submitted, champion)
        if champion is None:
            if challenger is None:
                raise failed or ModelRunError("ModelRunFailed", "neither model gave an answer")
            return Answer(self.challenger, CHALLENGER, challenger)
        if challenger is None and not guardrail:
            return Answer(self.champion, CHAMPION, champion)
        if guardrail and guardrails.non_finite(champion.outputs) is not None:
            return Answer(self.champion, FALLBACK, champion)
        pair = self._pair(champion, challenger, guardrail)
        self._count(pair)
        if challenger is None:
            return Answer(self.champion, FALLBACK, champion, pair)
        return Answer(self.challenger, CHALLENGER, challenger, pair, champion)

    def _submit(self, inputs: Tensors) -> _Trial | None:
        """Hand the request to the challenger's thread, unless that is still busy with a run past its limit."""
        if self._stuck() is not None:
            return None
        trial = _Trial()

        def run() -> Run:
            trial.began = time.perf_counter()
            return timed_run(self.challenger, inputs)

        try:
            trial.future = self._workers.submit(run)
        except Busy:
            return None
        return trial

    def _stuck(self) -> _Trial | None:
        """The run past its limit that the challenger's thread is still in."""
        overdue = self._overdue
        return overdue if overdue is not None and not overdue.future.done() else None

    def _collect(self, trial: _Trial | None, submitted: float, champion: Run | None) -> tuple[Run | None, str]:
        """The challenger's run if it may answer, or the guardrail that it tripped, or neither if it wasn't its turn."""
        if trial is None:
            return None, self._late(self._stuck(), champion)
        try:
            run = self._await(trial, submitted)
        except FutureTimeoutError:
            self._overdue = trial
            return None, self._late(trial, champion)
        except ModelRunError:
            return None, guardrails.EXCEPTION
        if run is None:
            return None, ""
        outputs = champion.outputs if champion is not None else None
        error = guardrails.broken(run.outputs, outputs, self.challenger.manifest, self.limits.guardrails)
        return (None, error) if error else (run, "")

    def _await(self, trial: _Trial, submitted: float) -> Run | None:
        """Wait for a run as long as the limit allows; None if it waited as long for its turn and is taken back.

        The limit is one on the run itself: a queue before the challenger's one thread says nothing about the
        challenger. Raises ModelRunError, and TimeoutError for a run past the limit.
        """
        limit = self.limits.guardrails.latency_limit.total_seconds()
        try:
            return trial.future.result(max(0.0, submitted + limit - time.perf_counter()))
        except FutureTimeoutError:
            if trial.future.cancel():
                return None
        began = trial.began if trial.began is not None else time.perf_counter()
        return trial.future.result(max(0.0, began + limit - time.perf_counter()))

    def _late(self, trial: _Trial | None, champion: Run | None) -> str:
        """The guardrail that a run past its limit trips: once for each run, however many requests it keeps waiting.

        A champion that took half of the limit itself tells of a machine that stalled, not of the challenger.
        """
        limit = self.limits.guardrails.latency_limit.total_seconds()
        if trial is None or champion is None or champion.seconds > limit / 2:
            return ""
        with self._lock:
            now = time.perf_counter()
            if trial.counted is not None and now - trial.counted < self._trip_again:
                return ""
            trial.counted = now
        return LATENCY_LIMIT

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
