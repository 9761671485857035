"""Whether two models decided alike: the one comparison that packaging measures and the runtime counts by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry_core.bundle.manifest import Decision, DecisionKind

Output = NDArray[Any]
# A prediction's record stays small; of a longer batch only the count of disagreements is kept.
MAX_DECIDED = 64


def disagreeing_rows(decision: Decision, champion: Output, challenger: Output) -> int:
    """Count the rows (first axis) of one output on which the challenger decides otherwise than the champion.

    Both arrays are that output, [rows, ...], of bools, integers or floats; a scalar is one row. ARGMAX compares the
    index of the largest value along the last axis (ties: the first), and of [rows] the values themselves, which are
    labels; TOLERANCE asks |challenger - champion| <= tolerance of every element. A row on which the challenger is not
    finite disagrees. One on which only the champion isn't agrees: there is no decision to depart from. Outputs of
    different shape disagree on all of the champion's rows.
    """
    champion, challenger = np.atleast_1d(champion), np.atleast_1d(challenger)
    rows: int = champion.shape[0]
    if champion.shape != challenger.shape:
        return rows
    if champion.size == 0:
        return 0
    undecided = ~finite_rows(champion)
    differing = _differing_rows(decision, champion, challenger)
    return int(np.count_nonzero((differing & ~undecided) | ~finite_rows(challenger)))


def decisions(decision: Decision, output: Output) -> tuple[float, ...] | None:
    """What was decided on each row of one output, as a label would say it: the class's index, or the value itself.

    None where no single number says it (several values a row, or one that is not finite), or for more than MAX_DECIDED
    rows.
    """
    found = np.atleast_1d(output)
    if found.shape[0] > MAX_DECIDED or found.size == 0:
        return None
    if decision.kind is DecisionKind.ARGMAX and found.ndim > 1:
        if not np.isfinite(found).all():
            return None
        found = found.argmax(axis=-1)
    if found.size != found.shape[0] or not np.isfinite(found).all():
        return None
    return tuple(found.reshape(-1).astype(np.float64).tolist())


def finite_rows(output: Output) -> NDArray[np.bool_]:
    """Mark the rows of a non-empty output, [rows, ...] -> [rows], that hold neither NaN nor infinity."""
    return ~_any_of_row(~np.isfinite(output))


def _differing_rows(decision: Decision, champion: Output, challenger: Output) -> NDArray[np.bool_]:
    if decision.kind is DecisionKind.TOLERANCE:
        # Subtraction wraps around for integers and isn't defined for bools; infinities meet here too.
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(challenger.astype(np.float64) - champion.astype(np.float64))
            return _any_of_row(distance > decision.tolerance)
    if champion.ndim == 1:
        return _any_of_row(champion != challenger)
    return _any_of_row(champion.argmax(axis=-1) != challenger.argmax(axis=-1))


def _any_of_row(elements: NDArray[np.bool_]) -> NDArray[np.bool_]:
    by_row: NDArray[np.bool_] = np.logical_or.reduce(elements.reshape(elements.shape[0], -1), axis=1)
    return by_row
