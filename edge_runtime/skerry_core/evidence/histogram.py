"""Log-bucketed histograms of signed values that merge exactly and answer quantiles within a stated error.

The buckets are DDSketch's (Masson, Rim, Lee: "DDSketch: a fast and fully-mergeable quantile sketch with
relative-error guarantees", VLDB 2019): with gamma = (1 + a) / (1 - a), bucket i holds (gamma^(i-1), gamma^i], and its
midpoint 2 gamma^i / (gamma + 1) is within a of every value in it. Values here are counted in units of SMALLEST;
negative ones mirror the positive ones, so a bucket's index grows with the value. Whatever is smaller is bucket 0.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

RELATIVE_ERROR = 0.01
SMALLEST = 1e-6
LARGEST = 1e6

_GAMMA = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GAMMA = math.log(_GAMMA)


def bucket_of(value: float) -> int:
    """Bucket index of a finite value; magnitudes above LARGEST count as LARGEST. ValueError for NaN."""
    if math.isnan(value):
        raise ValueError("NaN belongs to no bucket")
    magnitude = min(abs(value), LARGEST)
    if magnitude < SMALLEST:
        return 0
    index = 1 + max(0, math.ceil(math.log(magnitude / SMALLEST) / _LOG_GAMMA))
    return index if value > 0 else -index


def value_of(bucket: int) -> float:
    """The value that stands for a bucket: within RELATIVE_ERROR of each of its values (0 for bucket 0)."""
    if bucket == 0:
        return 0.0
    magnitude = SMALLEST * 2 * math.exp((abs(bucket) - 1) * _LOG_GAMMA) / (_GAMMA + 1)
    return math.copysign(magnitude, bucket)


def merge(histograms: Iterable[Mapping[int, int]]) -> Counter[int]:
    """Sum of histograms: the histogram of all their values together."""
    total: Counter[int] = Counter()
    for histogram in histograms:
        total.update(histogram)
    return total


def quantile(histogram: Mapping[int, int], q: float) -> float | None:
    """Lower q-quantile (q in [0, 1]), within RELATIVE_ERROR or SMALLEST; None of an empty histogram."""
    count = sum(histogram.values())
    if not count:
        return None
    rank = math.floor(q * (count - 1))
    for bucket in sorted(histogram):
        rank -= histogram[bucket]
        if rank < 0:
            return value_of(bucket)
    raise AssertionError("a rank is below the count")
