"""Which accumulators there are, and which of them a feature is computed from."""

from collections.abc import Mapping
from enum import StrEnum

from skerry_core.features.accumulators.counts import Buckets, ByValue
from skerry_core.features.accumulators.distinct import Distinct
from skerry_core.features.accumulators.exact import ExactSquares, ExactSum
from skerry_core.features.accumulators.extremes import First, Largest, Last, Smallest
from skerry_core.features.accumulators.protocol import Accumulator
from skerry_core.features.accumulators.sketch import Sketch
from skerry_core.features.accumulators.tally import DerivedTally, Tally
from skerry_core.features.accumulators.vectors import VectorLast, VectorSum
from skerry_core.features.definition import Aggregation


class Kind(StrEnum):
    """A kind of accumulator."""

    TALLY = "Tally"
    DERIVED_TALLY = "DerivedTally"
    SUM = "Sum"
    SQUARES = "Squares"
    MIN = "Min"
    MAX = "Max"
    FIRST = "First"
    LAST = "Last"
    SKETCH = "Sketch"
    DISTINCT = "Distinct"
    BUCKETS = "Buckets"
    COMMON = "Common"
    VECTOR_SUM = "VectorSum"
    VECTOR_LAST = "VectorLast"


PARTS: Mapping[Aggregation, tuple[Kind, ...]] = {
    Aggregation.COUNT: (),
    Aggregation.RATE: (),
    Aggregation.RECENCY: (),
    Aggregation.HEALTH: (),
    Aggregation.SUM: (Kind.SUM,),
    Aggregation.MEAN: (Kind.SUM,),
    Aggregation.EWMA: (Kind.SUM,),
    Aggregation.STD: (Kind.SUM, Kind.SQUARES),
    Aggregation.MIN: (Kind.MIN,),
    Aggregation.MAX: (Kind.MAX,),
    Aggregation.FIRST: (Kind.FIRST,),
    Aggregation.LAST: (Kind.LAST,),
    Aggregation.QUANTILE: (Kind.SKETCH,),
    Aggregation.DISTINCT: (Kind.DISTINCT,),
    Aggregation.HISTOGRAM: (Kind.BUCKETS,),
    Aggregation.TOP_K: (Kind.COMMON,),
    Aggregation.EMBEDDING_LAST: (Kind.VECTOR_LAST,),
    Aggregation.EMBEDDING_MEAN: (Kind.VECTOR_SUM,),
}
"""What an aggregation needs of its column beside the tally."""

_PLAIN: Mapping[Kind, Accumulator] = {
    Kind.TALLY: Tally(),
    Kind.DERIVED_TALLY: DerivedTally(),
    Kind.SUM: ExactSum(),
    Kind.SQUARES: ExactSquares(),
    Kind.MIN: Smallest(),
    Kind.MAX: Largest(),
    Kind.FIRST: First(),
    Kind.LAST: Last(),
    Kind.SKETCH: Sketch(),
    Kind.DISTINCT: Distinct(),
    Kind.COMMON: ByValue(),
}


def build(kind: Kind, buckets: tuple[float, ...], length: int) -> Accumulator:
    """The accumulator of a kind, with the parameters that some of them have."""
    match kind:
        case Kind.BUCKETS:
            return Buckets(buckets)
        case Kind.VECTOR_SUM:
            return VectorSum(length)
        case Kind.VECTOR_LAST:
            return VectorLast(length)
        case _:
            return _PLAIN[kind]
