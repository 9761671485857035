"""Sketches of durations small enough for a summary: histograms whose bounds are the same everywhere, so they add up.

Bound i is 10^(i / 8) seconds: eight buckets a decade, so a quantile is at most a third too high. That is a DDSketch
(Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees", VLDB 2019)
with a coarser base than `skerry_core.evidence.histogram`, whose one percent would take a hundred buckets a decade.

On the wire a sketch is one list of numbers, which a table keeps as one column: the stride, then pairs of index and
count. An index counts bounds of the stride; a stride of 2 makes each bucket as wide as two, and so on.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

PER_DECADE = 8
# What lies above every bound of a histogram: more than a hundred days.
TOP = 7 * PER_DECADE
_STRIDES = (1, 2, 4, 8, 16, 32, 64)

Sketch = Mapping[int, int]


def bounds(lowest: int, highest: int, stride: int = 1) -> tuple[float, ...]:
    """Upper bounds in seconds from 10^lowest to 10^highest, each `stride`-th of them, for a Prometheus histogram."""
    indices = range(lowest * PER_DECADE, highest * PER_DECADE + 1, stride)
    return tuple(float(f"{10 ** (i / PER_DECADE):.4g}") for i in indices)


def index_of(bound: float) -> int:
    """The bucket that a histogram's upper bound in seconds belongs to: the first that reaches as high."""
    if not math.isfinite(bound):
        return TOP
    # Bounds are told in four digits, so one that is meant to be on the grid may lie just above it.
    return min(math.ceil(PER_DECADE * math.log10(bound) - 0.01), TOP)


def quantile(sketch: Sketch, q: float) -> float | None:
    """Upper bound in seconds of the bucket with the lower q-quantile (q in [0, 1]); None of an empty sketch."""
    count = sum(sketch.values())
    if not count:
        return None
    rank = math.floor(q * (count - 1))
    for index in sorted(sketch):
        rank -= sketch[index]
        if rank < 0:
            return float(10 ** (index / PER_DECADE))
    raise AssertionError("a rank is below the count")


def to_wire(sketch: Sketch, limit: int) -> list[int]:
    """The sketch as numbers, with the least stride that leaves at most `limit` buckets, 64 at most; empty: none."""
    if not any(sketch.values()):
        return []
    for stride in _STRIDES:
        coarse: Counter[int] = Counter()
        for index, count in sketch.items():
            if count:
                coarse[-(-index // stride)] += count
        if len(coarse) <= limit:
            break
    return [stride, *_flat(coarse)]


def from_wire(numbers: Sequence[int]) -> Counter[int]:
    """What `to_wire` gave, by bound as everywhere."""
    if not numbers:
        return Counter()
    stride, pairs = numbers[0], iter(numbers[1:])
    return Counter({index * stride: count for index, count in zip(pairs, pairs, strict=True)})


def _flat(sketch: Sketch) -> Iterator[int]:
    for index in sorted(sketch):
        yield index
        yield sketch[index]
