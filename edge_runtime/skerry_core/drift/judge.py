"""Whether a window of the field looks like the validation data: column by column. Pure, and no part of any verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from skerry_core.drift.baseline import Baseline
from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.psi import binned, by_chance, psi
from skerry_core.drift.sketch import ColumnSketch

# The chance that a window of the same distribution has any column outside by chance alone, whatever `max_psi`.
SIGNIFICANCE = 0.001


@dataclass(frozen=True)
class ColumnDrift:
    """One column of one window: its index, the limit that held, the share of nulls, and rows that were looked at."""

    column: str
    psi: float
    limit: float
    nulls: float
    rows: int

    @property
    def outside(self) -> bool:
        """Whether it is unlike the baseline."""
        return self.psi > self.limit


@dataclass(frozen=True)
class Drift:
    """The columns that had enough rows, in the baseline's order."""

    columns: tuple[ColumnDrift, ...] = ()


def drift(baseline: Baseline, window: Sequence[ColumnSketch], limits: DriftLimits) -> Drift:
    """Compare a window's sketches, one for each of the baseline's columns, with the baseline's own."""
    found = []
    for column, seen in zip(baseline.columns, window, strict=True):
        if seen.rows < limits.min_samples or column.name in limits.ignored_columns:
            continue
        rows = binned(column.sketch, seen, None if column.categories is None else len(column.categories))
        limit = max(limits.max_psi, by_chance(rows, SIGNIFICANCE / len(baseline.columns)))
        found.append(ColumnDrift(column.name, psi(rows), limit, seen.nulls / seen.rows, seen.rows))
    return Drift(tuple(found))
