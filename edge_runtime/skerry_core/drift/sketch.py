"""Sketches of columns: counts by bucket, which add up exactly whatever the order or the batches.

Numbers are counted as DDSketch does (`skerry_core.features.accumulators.sketch`), but by their distance from the
baseline's median: its buckets are relative, and a pressure of 101.3 kPa ± 0.1 would lie in one of them. Distances below
the grain count as none, so the buckets near the median don't become infinitely many. Whole numbers of few kinds are
counted by kind.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from skerry_core.features.accumulators.sketch import Sketch
from skerry_core.features.columns import Column, Floats, Groups

_SKETCH = Sketch()


@dataclass(frozen=True)
class Scale:
    """How a column's numbers become buckets: by kind, or by distance from `origin` where `categories` is None."""

    categories: tuple[float, ...] | None
    origin: float
    grain: float


@dataclass(frozen=True)
class ColumnSketch:
    """`counts` by bucket of those of `rows` whose number isn't null: neither NaN nor infinite, nor a mere default."""

    rows: int = 0
    nulls: int = 0
    halved: int = 0
    counts: dict[int, int] = field(default_factory=dict)


def sketch(scales: Sequence[Scale], columns: Sequence[Floats]) -> tuple[ColumnSketch, ...]:
    """A sketch of each column's numbers, float64 [rows of the column]."""
    finite = [values[np.isfinite(values)] for values in columns]
    numbers = [place for place, scale in enumerate(scales) if scale.categories is None and len(finite[place])]
    counted: list[tuple[int, dict[int, int]]] = [(0, {}) for _ in scales]
    for place, value in zip(numbers, _distances([(scales[each], finite[each]) for each in numbers]), strict=True):
        counted[place] = value
    for place, scale in enumerate(scales):
        if scale.categories is not None:
            counted[place] = 0, _by_kind(scale.categories, finite[place])
    return tuple(
        ColumnSketch(len(values), len(values) - len(kept), halved, counts)
        for values, kept, (halved, counts) in zip(columns, finite, counted, strict=True)
    )


def merge(one: ColumnSketch, other: ColumnSketch) -> ColumnSketch:
    """The sketch of all rows of both."""
    halved, counts = _SKETCH.merge((one.halved, one.counts), (other.halved, other.counts))
    return ColumnSketch(one.rows + other.rows, one.nulls + other.nulls, halved, dict(counts))


def coarse(value: ColumnSketch, halved: int) -> ColumnSketch:
    """The same with buckets taken together at least `halved` times; as it is where they were already."""
    return value if value.halved >= halved else merge(value, ColumnSketch(halved=halved))


def _distances(columns: Sequence[tuple[Scale, Floats]]) -> list[tuple[int, dict[int, int]]]:
    """All columns in one pass: each is a group of rows to the accumulator."""
    if not columns:
        return []
    with np.errstate(over="ignore"):
        distances = [np.nan_to_num(values - scale.origin) for scale, values in columns]
    for (scale, _), values in zip(columns, distances, strict=True):
        values[np.abs(values) < scale.grain] = 0.0
    values = np.concatenate(distances)
    starts = np.cumsum([0, *(len(each) for each in distances[:-1])], dtype=np.int64)
    rows = np.arange(len(values), dtype=np.int64)
    groups = Groups(rows, starts, np.arange(len(starts), dtype=np.int64), np.zeros(len(values), np.int64))
    return [(halved, dict(counts)) for halved, counts in _SKETCH.gather(Column(values, None), groups)]


def _by_kind(categories: tuple[float, ...], values: Floats) -> dict[int, int]:
    known = np.array(categories)
    places = np.minimum(np.searchsorted(known, values), len(known) - 1)
    places = np.where(known[places] == values, places, len(known))
    kinds, counts = np.unique(places, return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))
