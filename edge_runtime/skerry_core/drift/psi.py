"""The population stability index of a column, and how large it gets by chance.

With shares p of the window and q of the baseline in B bins, PSI = sum (p - q) ln(p / q). If both are samples of one
distribution, of n and m rows, it is about (1/n + 1/m) times a chi-squared variable with B - 1 degrees of freedom
(Yurdakul and Naranjo: "Statistical properties of the population stability index", Journal of Risk Model Validation
14(4), 2020), so small windows need a higher limit than the usual 0.1 to 0.25. Rows are taken as independent, which
those of one request, and of neighbouring ones, are not quite: `min_samples` and N of M windows have to allow for that.

Bins are ten of about equally many baseline rows, cut between the sketch's buckets; one below and one above all that
the baseline has; and one of nulls. Counts get half a row more in each bin, as an empty one would make the index
infinite (Krichevsky and Trofimov's estimate).
"""

import math
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from skerry_core.drift.sketch import ColumnSketch, coarse

BINS = 10
_PRIOR = 0.5


@dataclass(frozen=True)
class Binned:
    """Rows of baseline and window in the same bins."""

    baseline: tuple[int, ...]
    window: tuple[int, ...]


def binned(baseline: ColumnSketch, window: ColumnSketch, categories: int | None) -> Binned:
    """Both sketches by the bins of the baseline; `categories` is their number where the column has any."""
    if categories is not None:
        kinds = range(categories + 1)
        rows = [[each.counts.get(kind, 0) for kind in kinds] for each in (baseline, window)]
    else:
        halved = max(baseline.halved, window.halved)
        baseline, window = coarse(baseline, halved), coarse(window, halved)
        edges = _edges(baseline)
        rows = [_counted(each, edges) for each in (baseline, window)]
    return Binned((*rows[0], baseline.nulls), (*rows[1], window.nulls))


def _edges(baseline: ColumnSketch) -> list[int]:
    """Highest bucket of each bin but the last; the first bin is below the baseline's lowest bucket."""
    ordered = sorted(baseline.counts)
    if not ordered:
        return []
    target = max(sum(baseline.counts.values()) / BINS, 1)
    edges, held = [ordered[0] - 1], 0
    for bucket in ordered:
        held += baseline.counts[bucket]
        if held >= target:
            edges.append(bucket)
            held = 0
    if edges[-1] != ordered[-1]:
        # What is left is less than a bin: it joins the last one.
        edges[-1 if len(edges) > 1 else len(edges) :] = [ordered[-1]]
    return edges


def _counted(value: ColumnSketch, edges: Sequence[int]) -> list[int]:
    counts = [0] * (len(edges) + 1)
    for bucket, count in value.counts.items():
        counts[bisect_left(edges, bucket)] += count
    return counts


def psi(rows: Binned) -> float:
    """The index; 0 for the same shares, and the larger the less alike."""
    ours, theirs = _shares(rows.window), _shares(rows.baseline)
    return sum((p - q) * math.log(p / q) for p, q in zip(ours, theirs, strict=True))


def _shares(counts: Sequence[int]) -> list[float]:
    total = sum(counts) + _PRIOR * len(counts)
    return [(count + _PRIOR) / total for count in counts]


def by_chance(rows: Binned, significance: float) -> float:
    """The index that two samples of one distribution exceed with probability `significance`."""
    n, m = sum(rows.window), sum(rows.baseline)
    if not n or not m:
        return math.inf
    return (1 / n + 1 / m) * chi_squared(len(rows.window) - 1, 1 - significance)


def chi_squared(freedom: int, p: float) -> float:
    """The p-quantile, by Wilson and Hilferty's approximation (1931): within 2 % from 3 degrees and p = 0.9 on."""
    spread = 2 / (9 * freedom)
    return freedom * max(1 - spread + NormalDist().inv_cdf(p) * math.sqrt(spread), 0.0) ** 3
