"""Evaluates the columns of a plan over a batch of normalized events."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from skerry_core.features.accumulators.identity import hashes
from skerry_core.features.columns import Column, ColumnKind, ColumnPlan, Floats, Mask
from skerry_core.features.conditions import Truth, Typed, typed
from skerry_core.features.plan import Plan


class Evaluation:
    """One batch's columns; each expression is evaluated once. `undecided` counts what could not be computed."""

    def __init__(self, plan: Plan, fields: Mapping[str, Sequence[Any]], size: int) -> None:
        self._plan = plan
        self._fields = fields
        self._size = size
        self._values: dict[str, Sequence[Any]] = {}
        self._truths: dict[str, Truth | None] = {}
        self._typed: dict[str, Typed | None] = {}
        self._masks: dict[str, Mask] = {}
        self._numbers: dict[str, tuple[Floats, Mask | None]] = {}
        self.undecided = 0

    def column(self, plan: ColumnPlan) -> Column:
        """The values of a column, and which rows count in it."""
        mask = None if plan.filter is None else self._filter(plan.filter)
        if plan.value is None:
            return Column(None, mask)
        values: Any = None
        present: Mask | None
        match plan.kind:
            case ColumnKind.NUMBER:
                values, present = self._number(plan.value)
            case ColumnKind.PRESENCE:
                present = _present(self._raw(plan.value))
            case ColumnKind.IDENTITY:
                raw = self._raw(plan.value)
                values, present = hashes(raw)
            case ColumnKind.VECTOR:
                values, present = _vectors(self._raw(plan.value), plan.length)
        if present is not None:
            mask = present if mask is None else mask & present
        return Column(values, mask)

    def _raw(self, text: str) -> Sequence[Any]:
        if text in self._fields:
            return self._fields[text]
        if text not in self._values:
            truth = self._truth(text)
            if truth is not None:
                true, false = truth
                self._values[text] = [
                    True if yes else False if no else None
                    for yes, no in zip(true.tolist(), false.tolist(), strict=True)
                ]
                return self._values[text]
            expression = self._plan.expressions[text]
            used = [self._fields[name] for name in expression.fields]
            evaluate, names = expression.evaluate, expression.fields
            found = [evaluate(dict(zip(names, row, strict=True))) for row in zip(*used, strict=True)]
            self.undecided += sum(value is None for value in found)
            self._values[text] = found
        return self._values[text]

    def _filter(self, text: str) -> Mask:
        if text not in self._masks:
            truth = self._truth(text)
            if truth is None:
                self._masks[text] = np.array([value is True for value in self._raw(text)], dtype=np.bool_)
            else:
                self._masks[text] = truth[0]
        return self._masks[text]

    def _truth(self, text: str) -> Truth | None:
        """A condition's outcome; None for what CEL has to evaluate."""
        if text not in self._truths:
            expression = self._plan.expressions.get(text)
            condition = None if expression is None else expression.condition
            truth = None if condition is None else condition.truth(self._column, self._size)
            if truth is not None:
                self.undecided += self._size - int(np.count_nonzero(truth[0] | truth[1]))
            self._truths[text] = truth
        return self._truths[text]

    def _column(self, name: str) -> Typed | None:
        if name not in self._typed:
            self._typed[name] = typed(self._fields[name])
        return self._typed[name]

    def _number(self, text: str) -> tuple[Floats, Mask | None]:
        if text not in self._numbers:
            raw = self._raw(text)
            if set(map(type, raw)) <= {float, int, bool}:
                numbers: Floats = np.array(raw, dtype=np.float64)
            else:
                numbers = np.array([_number(value) for value in raw], dtype=np.float64)
            numbers += 0.0
            finite = np.isfinite(numbers)
            present = None if finite.all() else finite
            self._numbers[text] = numbers, present
        return self._numbers[text]


def _number(value: Any) -> float:
    """Rounded once, if it is an integer beyond 2^53; NaN for what is no number."""
    return float(value) if isinstance(value, float | int) else float("nan")


def _present(values: Sequence[Any]) -> Mask | None:
    if None not in values:
        return None
    return np.array([value is not None for value in values], dtype=np.bool_)


def _vectors(values: Sequence[Any], length: int) -> tuple[Floats, Mask | None]:
    """Vectors as rows of a matrix; those that aren't finite numbers of the right length don't count."""
    nothing = [0.0] * length
    fits = [isinstance(value, list) and len(value) == length and _all_numbers(value) for value in values]
    rows = [value if fit else nothing for value, fit in zip(values, fits, strict=True)]
    matrix: Floats = np.array(rows, dtype=np.float64).reshape(len(rows), length) + 0.0
    present = np.array(fits, dtype=np.bool_) & np.isfinite(matrix).all(axis=1)
    return matrix, None if present.all() else present


def _all_numbers(value: list[Any]) -> bool:
    return set(map(type, value)) <= {float, int}
