"""The first judge: fixed thresholds on paired evidence.

Champion and challenger see the same requests, so their difference is measured, not estimated from two samples; that
is why a few hundred rows suffice (a paired design, as in McNemar's test of 1947). A verdict is looked for again and
again while evidence grows, and every look is a chance to be wrong: hence FAIL on a rate needs `min_samples`, and the
first PASS or FAIL ends the canary. Rows of one batched request are counted as independent, which they are not quite;
`min_samples` has to allow for that.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta

from skerry_core.assignment.document import AnalysisLimits, LabelLimits
from skerry_core.bundle.manifest import ExpectedDisagreement
from skerry_core.evidence.collect import total
from skerry_core.evidence.histogram import quantile
from skerry_core.evidence.window import MICROS, Evidence, Labelled, Window
from skerry_core.verdict.port import Outcome, Verdict

DISAGREEMENT = "disagreement"
ERROR_RATE = "error_rate"
LATENCY_RATIO = "latency_ratio"
LABELLED_ERROR = "labelled_error"

# Fewer pairs than this are an accident, not a median; the sum over all windows is judged before PASS all the same.
_MIN_WINDOW_PAIRS = 5


def judge(evidence: Evidence, limits: AnalysisLimits, expected: ExpectedDisagreement | None, now: datetime) -> Verdict:
    """Judge by thresholds; see `AnalysisLimits`. An expectation measured against another champion doesn't count."""
    summed = total(evidence) or Window(start=now)
    complete = [window for window in evidence.windows if window.start + limits.interval <= now]
    enough = summed.rows >= limits.min_samples and len(complete) >= limits.windows
    if expected is not None and expected.baseline != evidence.champion:
        expected = None
    for failure in _failures(summed, complete, limits, expected, enough=enough):
        return failure
    for failure in _labels(evidence.labelled, limits.labels):
        return failure
    awaited = limits.labels.min_labels if limits.labels is not None else 0
    if enough and evidence.labelled.rows < awaited:
        return Verdict(
            Outcome.INCONCLUSIVE,
            message=f"{evidence.labelled.rows} of {awaited} labelled rows, all else within limits",
        )
    if enough:
        return Verdict(Outcome.PASS, message=f"{summed.rows} rows in {len(complete)} windows within all limits")
    return Verdict(
        Outcome.INCONCLUSIVE,
        message=f"{summed.rows} of {limits.min_samples} rows, {len(complete)} of {limits.windows} windows",
    )


def _failures(
    summed: Window,
    complete: list[Window],
    limits: AnalysisLimits,
    expected: ExpectedDisagreement | None,
    *,
    enough: bool,
) -> Iterator[Verdict]:
    yield from _errors(summed, limits)
    yield from _disagreement(summed, limits, expected)
    yield from _latency(summed, complete, limits, enough=enough)


def _errors(summed: Window, limits: AnalysisLimits) -> Iterator[Verdict]:
    """Fail as soon as the rate would be too high even if all of the first `min_samples` requests had been sent."""
    counted = max(summed.requests, limits.min_samples)
    rate = summed.errors / counted
    if rate > limits.max_error_rate:
        yield Verdict(
            Outcome.FAIL,
            ERROR_RATE,
            observed=summed.errors / summed.requests,
            limit=limits.max_error_rate,
            message=f"{summed.errors} of {summed.requests} requests had no usable answer",
        )


def _disagreement(summed: Window, limits: AnalysisLimits, expected: ExpectedDisagreement | None) -> Iterator[Verdict]:
    if summed.rows < limits.min_samples:
        return
    limit = limits.max_disagreement
    if expected is not None:
        limit = min(limit, expected.rate + limits.max_disagreement_excess)
    rate = summed.disagreements / summed.rows
    if rate > limit:
        basis = f"{expected.rate:.3f} on validation data" if expected is not None else "nothing was measured beforehand"
        yield Verdict(
            Outcome.FAIL,
            DISAGREEMENT,
            observed=rate,
            limit=limit,
            message=f"decides otherwise than the champion on {rate:.3f} of {summed.rows} rows ({basis})",
        )


def _labels(labelled: Labelled, limits: LabelLimits | None) -> Iterator[Verdict]:
    """Few labels say nothing, however bad: those that come first are seldom like the rest."""
    if limits is None or labelled.rows < limits.min_labels:
        return
    ours, theirs = (error / labelled.rows / MICROS for error in (labelled.champion_error, labelled.challenger_error))
    excess = (labelled.challenger_error - labelled.champion_error) / labelled.rows / MICROS
    if excess > limits.max_error_excess:
        yield Verdict(
            Outcome.FAIL,
            LABELLED_ERROR,
            observed=excess,
            limit=limits.max_error_excess,
            message=f"mean error {theirs:.3f} where the champion's is {ours:.3f}, on {labelled.rows} labelled rows",
        )


def _latency(summed: Window, complete: list[Window], limits: AnalysisLimits, *, enough: bool) -> Iterator[Verdict]:
    recent = complete[-limits.windows :]
    slow = [
        window for window in recent if sum(window.ratios.values()) >= _MIN_WINDOW_PAIRS and _is_slow(window, limits)
    ]
    if len(slow) >= limits.failure_limit:
        worst = slow[-1]
        message = f"slower than the limit in {len(slow)} of the last {len(recent)} windows"
    elif enough and _is_slow(summed, limits):
        worst = summed
        message = "slower than the limit over the whole canary"
    else:
        return
    yield Verdict(
        Outcome.FAIL,
        LATENCY_RATIO,
        observed=quantile(worst.ratios, 0.5),
        limit=limits.max_latency_ratio,
        message=message,
    )


def _is_slow(window: Window, limits: AnalysisLimits) -> bool:
    ratio = quantile(window.ratios, 0.5)
    difference = quantile(window.differences, 0.5)
    return (
        ratio is not None
        and difference is not None
        and ratio > limits.max_latency_ratio
        and timedelta(seconds=difference) > limits.latency_floor
    )
