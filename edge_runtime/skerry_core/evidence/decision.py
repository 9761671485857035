"""Whether two models decided alike: the one comparison that packaging measures and the runtime counts by."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from skerry_core.bundle.manifest import Decision, DecisionKind

Output = NDArray[Any]


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
