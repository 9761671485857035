"""What a release's columns looked like on its validation data: a file of the bundle that the signed manifest names."""

from collections.abc import Sequence
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, StringConstraints, model_validator

from skerry_api.v1alpha1.fields import ApiModel
from skerry_core.drift.columns import MAX_COLUMNS, ColumnSource, Measure, Side
from skerry_core.drift.sketch import ColumnSketch, Scale, coarse, sketch
from skerry_core.errors import UserMustActError
from skerry_core.features.columns import Floats

BASELINE_FILE = "drift-baseline.json"
MAX_BASELINE_BYTES = 512 << 10
MAX_CATEGORIES = 32
MAX_BASELINE_BUCKETS = 128

# What is nearer to the median than this part of the middle half's width counts as the median itself.
_GRAIN = 0.01
# Below this part of the number itself, differences are those of float32.
_EPSILON = 1e-6
_WHOLE = "biu"

Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class BaselineMalformedError(UserMustActError):
    """A baseline that the manifest names isn't one."""

    def __init__(self, message: str) -> None:
        super().__init__("BaselineMalformed", message)


class BaselineColumn(ApiModel):
    """One column: where it is taken from, its scale, and its sketch over `rows` rows of which `nulls` had no number.

    `buckets` are pairs of bucket and count, ascending, `halved` as in `skerry_core.features.accumulators.sketch`. Of a
    column with `categories` the bucket is a category's place in them, or their number for any other value.
    """

    name: Annotated[str, StringConstraints(min_length=1, max_length=96)]
    side: Side
    tensor: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    measure: Measure
    element: Annotated[int, Field(ge=0, le=4096)] = 0
    categories: Annotated[tuple[Number, ...], Field(min_length=1, max_length=MAX_CATEGORIES)] | None = None
    origin: Number = 0.0
    grain: Annotated[Number, Field(ge=0)] = 0.0
    rows: Annotated[int, Field(ge=1, le=2**53)]
    nulls: Count = 0
    halved: Annotated[int, Field(ge=0, le=32)] = 0
    buckets: Annotated[
        tuple[tuple[Annotated[int, Field(ge=-(2**20), le=2**20)], Count], ...], Field(max_length=MAX_BASELINE_BUCKETS)
    ] = ()

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        indices = [bucket for bucket, _ in self.buckets]
        if indices != sorted(set(indices)):
            raise ValueError("buckets must ascend")
        if sum(count for _, count in self.buckets) + self.nulls != self.rows:
            raise ValueError("counts and nulls must add up to the rows")
        if self.categories is not None and list(self.categories) != sorted(set(self.categories)):
            raise ValueError("categories must ascend")
        return self

    @property
    def source(self) -> ColumnSource:
        """Where the column is taken from."""
        return ColumnSource(self.name, self.side, self.tensor, self.measure, self.element)

    @property
    def scale(self) -> Scale:
        """By which values of the field fall into the same buckets."""
        return Scale(self.categories, self.origin, self.grain)

    @property
    def sketch(self) -> ColumnSketch:
        """The validation data's."""
        return ColumnSketch(self.rows, self.nulls, self.halved, dict(self.buckets))


class Baseline(ApiModel):
    """All watched columns of a release, inputs first."""

    columns: Annotated[tuple[BaselineColumn, ...], Field(min_length=1, max_length=MAX_COLUMNS)]

    @model_validator(mode="after")
    def _named_apart(self) -> Self:
        if len({column.name for column in self.columns}) != len(self.columns):
            raise ValueError("columns must differ in their names")
        return self

    @property
    def sources(self) -> tuple[ColumnSource, ...]:
        """Where the columns are taken from."""
        return tuple(column.source for column in self.columns)


def read_baseline(data: bytes) -> Baseline:
    """The baseline in a file's bytes, which must already be the signed manifest's; raises BaselineMalformedError."""
    if len(data) > MAX_BASELINE_BYTES:
        raise BaselineMalformedError(f"the baseline has more than {MAX_BASELINE_BYTES} bytes")
    try:
        return Baseline.model_validate_json(data)
    except ValueError as error:
        raise BaselineMalformedError(f"no baseline: {error}") from error


def make_baseline(sources: Sequence[ColumnSource], columns: Sequence[Floats], whole: Sequence[bool]) -> Baseline | None:
    """The baseline of these columns' numbers; `whole` says which hold whole numbers only. None if none has a row."""
    found = [
        _column(source, values, whole=integers)
        for source, values, integers in zip(sources, columns, whole, strict=True)
        if len(values)
    ]
    return Baseline(columns=tuple(found)) if found else None


def is_whole(source: ColumnSource, tensor: NDArray[Any]) -> bool:
    """Whether a column of this tensor holds whole numbers only."""
    return source.measure is Measure.ARGMAX or (source.measure is Measure.ELEMENT and tensor.dtype.kind in _WHOLE)


def _column(source: ColumnSource, values: Floats, *, whole: bool) -> BaselineColumn:
    scale = _scale(values[np.isfinite(values)], few=source.measure is Measure.ARGMAX, whole=whole)
    found = sketch((scale,), (values,))[0]
    while len(found.counts) > MAX_BASELINE_BUCKETS:
        found = coarse(found, found.halved + 1)
    return BaselineColumn(
        name=source.name,
        side=source.side,
        tensor=source.tensor,
        measure=source.measure,
        element=source.element,
        categories=scale.categories,
        origin=scale.origin,
        grain=scale.grain,
        rows=found.rows,
        nulls=found.nulls,
        halved=found.halved,
        buckets=tuple(sorted(found.counts.items())),
    )


def _scale(finite: Floats, *, few: bool, whole: bool) -> Scale:
    if not len(finite):
        return Scale(None, 0.0, 0.0)
    kinds, counts = np.unique(finite, return_counts=True)
    if whole and (few or len(kinds) <= MAX_CATEGORIES):
        # Of many classes the most frequent ones are told apart, and all others are one.
        common = kinds[np.argsort(-counts, kind="stable")[:MAX_CATEGORIES]]
        return Scale(tuple(sorted(common.tolist())), 0.0, 0.0)
    low, origin, high = np.quantile(finite, (0.25, 0.5, 0.75), method="lower").tolist()
    with np.errstate(over="ignore"):
        width = (high - low) or float(finite.std())
    grain = max(_GRAIN * width, _EPSILON * abs(origin))
    return Scale(None, origin, grain if np.isfinite(grain) else 0.0)
