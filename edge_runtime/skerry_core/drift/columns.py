"""What is watched of a model's tensors: columns of one number a row.

A narrow tensor gives a column for each of its elements. One with more elements than can be told apart (an image, an
embedding) gives two: the mean and the standard deviation of each row. The output that decides gives one more where it
holds scores: the index of the largest, which is the class that was predicted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import prod
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from skerry_core.bundle.manifest import Decision, DecisionKind, TensorSpec
from skerry_core.features.columns import Floats
from skerry_core.features.definition import FeatureInput

MAX_WIDTH = 32
MAX_COLUMNS = 128

Arrays: TypeAlias = Mapping[str, NDArray[Any]]
_MATRIX = 2  # [rows, elements]
_MAX_NAME = 96


class Side(StrEnum):
    """Where a tensor belongs."""

    INPUT = "Input"
    OUTPUT = "Output"


class Measure(StrEnum):
    """What of a row is the column's number: one element, or a figure of the whole row."""

    ELEMENT = "Element"
    MEAN = "Mean"
    DEVIATION = "Deviation"
    ARGMAX = "ArgMax"


@dataclass(frozen=True)
class ColumnSource:
    """Where a column's numbers are taken from; `element` counts in the flattened row, and is 0 for whole rows."""

    name: str
    side: Side
    tensor: str
    measure: Measure
    element: int = 0


def sources_of(
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    decision: Decision,
    features: Sequence[FeatureInput] = (),
) -> tuple[ColumnSource, ...]:
    """The columns of a model, MAX_COLUMNS at most, as long as it has no more tensors than that holds pairs for.

    An element is named after its feature where the manifest binds its input to features of one value each.
    """
    tensors = [(Side.INPUT, spec) for spec in inputs] + [(Side.OUTPUT, spec) for spec in outputs]
    bound = {binding.input: binding.features for binding in features}
    found: list[ColumnSource] = []
    for place, (side, spec) in enumerate(tensors):
        # Every tensor after this one can still be told by two columns, and the decision by one.
        room = MAX_COLUMNS - len(found) - 2 * (len(tensors) - place - 1) - 1
        found += _of_tensor(side, spec, bound.get(spec.name, ()), room)
    scores = next((spec for spec in outputs if spec.name == decision.output), None)
    if scores is not None and decision.kind is DecisionKind.ARGMAX and len(scores.shape) == _MATRIX:
        found.append(ColumnSource(_named(scores.name, "argmax"), Side.OUTPUT, scores.name, Measure.ARGMAX))
    return _told_apart(found[:MAX_COLUMNS])


def _told_apart(sources: Sequence[ColumnSource]) -> tuple[ColumnSource, ...]:
    """Names are cut off, so those of two tensors can come out the same; the later one gets its number instead."""
    names: set[str] = set()
    apart = []
    for place, source in enumerate(sources):
        apart.append(replace(source, name=f"column[{place}]") if source.name in names else source)
        names.add(source.name)
    return tuple(apart)


def _of_tensor(side: Side, spec: TensorSpec, features: Sequence[str], room: int) -> list[ColumnSource]:
    inner = spec.shape[1:]
    width = prod(inner) if all(length > 0 for length in inner) else 0
    if 0 < width <= min(MAX_WIDTH, room):
        labels = (
            features if len(set(features)) == len(features) == width else [str(element) for element in range(width)]
        )
        return [
            ColumnSource(
                spec.name[:_MAX_NAME] if not inner else _named(spec.name, label),
                side,
                spec.name,
                Measure.ELEMENT,
                element,
            )
            for element, label in enumerate(labels)
        ]
    return [
        ColumnSource(_named(spec.name, "mean"), side, spec.name, Measure.MEAN),
        ColumnSource(_named(spec.name, "deviation"), side, spec.name, Measure.DEVIATION),
    ]


def _named(tensor: str, part: str) -> str:
    return f"{tensor[: _MAX_NAME - len(part) - 2]}[{part}]"


def extract(sources: Sequence[ColumnSource], inputs: Arrays, outputs: Arrays) -> list[Floats]:
    """Each column's numbers, float64 [rows of its tensor]; empty for a tensor that isn't there or is narrower."""
    rows: dict[tuple[Side, str], Floats | None] = {}
    columns = []
    for source in sources:
        key = source.side, source.tensor
        if key not in rows:
            tensor = (inputs if source.side is Side.INPUT else outputs).get(source.tensor)
            rows[key] = None if tensor is None else _rows(tensor)
        columns.append(_column(rows[key], source))
    return columns


def _rows(tensor: NDArray[Any]) -> Floats:
    tensor = np.atleast_1d(tensor)
    flat = tensor.reshape(tensor.shape[0], -1) if tensor.size else np.empty((0, 0))
    return np.asarray(flat, np.float64)


def _column(rows: Floats | None, source: ColumnSource) -> Floats:
    if rows is None or source.element >= rows.shape[1]:
        return np.empty(0)
    with np.errstate(invalid="ignore", over="ignore"):
        match source.measure:
            case Measure.ELEMENT:
                return np.asarray(rows[:, source.element], np.float64)
            case Measure.MEAN:
                return np.asarray(rows.mean(axis=1), np.float64)
            case Measure.DEVIATION:
                return np.asarray(rows.std(axis=1), np.float64)
            case Measure.ARGMAX:
                return np.asarray(rows.argmax(axis=1), np.float64)
