"""What one node knows of one champion's drift: the open window, and how the last ones fared. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from skerry_core.drift.baseline import Baseline
from skerry_core.drift.judge import ColumnDrift, Drift, drift
from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.sketch import ColumnSketch, coarse, merge


@dataclass(frozen=True)
class Watch:
    """One release, by digest, since `began`; `sketches` are the open window's, by the baseline's columns.

    `outside` tells of each column, oldest first, in which of the last windows it was outside; `drifting` columns are
    those that N of M windows have settled, the set as it is since `since`. `last` is the newest window that was judged.
    """

    digest: str
    began: datetime
    sketches: tuple[ColumnSketch, ...]
    outside: dict[str, tuple[bool, ...]] = field(default_factory=dict)
    drifting: tuple[str, ...] = ()
    since: datetime | None = None
    last: Drift = field(default_factory=Drift)
    judged: int = 0
    rows: int = 0

    def worst(self) -> ColumnDrift | None:
        """Of the drifting columns, the one that is furthest beyond its limit."""
        return max(
            (each for each in self.last.columns if each.column in self.drifting),
            key=lambda each: each.psi / each.limit,
            default=None,
        )


def begin(digest: str, baseline: Baseline, now: datetime) -> Watch:
    """Nothing seen yet."""
    return Watch(digest, now, (ColumnSketch(),) * len(baseline.columns))


def add(watch: Watch, baseline: Baseline, sketches: Sequence[ColumnSketch]) -> Watch:
    """Rows more in the open window; buckets no finer than the baseline's, so that they stay few."""
    merged = tuple(
        coarse(merge(held, new), column.halved)
        for held, new, column in zip(watch.sketches, sketches, baseline.columns, strict=True)
    )
    return replace(watch, sketches=merged, rows=watch.rows + max((each.rows for each in sketches), default=0))


def step(watch: Watch, baseline: Baseline, limits: DriftLimits, now: datetime) -> Watch:
    """Close the window if it is long enough and full enough, and judge it; else the watch as it is.

    A clock that was set back begins the time of the open window anew.
    """
    if now < watch.began:
        return replace(watch, began=now)
    if now - watch.began < limits.interval or all(each.rows < limits.min_samples for each in watch.sketches):
        return watch
    seen = drift(baseline, watch.sketches, limits)
    outside = _outside(watch.outside, seen, limits)
    drifting = tuple(
        name
        for name in (column.name for column in baseline.columns)
        if _settled(outside.get(name, ()), limits, before=name in watch.drifting)
    )
    return replace(
        begin(watch.digest, baseline, now),
        outside=outside,
        drifting=drifting,
        since=watch.since if drifting == watch.drifting and watch.since is not None else now,
        last=seen,
        judged=watch.judged + 1,
        rows=watch.rows,
    )


def _outside(before: Mapping[str, tuple[bool, ...]], seen: Drift, limits: DriftLimits) -> dict[str, tuple[bool, ...]]:
    """A column that had too few rows in this window keeps what was known of it, unless it isn't watched any more."""
    told = {name: past[-limits.windows :] for name, past in before.items() if name not in limits.ignored_columns}
    return told | {each.column: (*told.get(each.column, ()), each.outside)[-limits.windows :] for each in seen.columns}


def _settled(past: Sequence[bool], limits: DriftLimits, *, before: bool) -> bool:
    """N of M windows to begin; it ends later than that, so that a column at the limit doesn't come and go."""
    count = sum(past)
    least = min(limits.failure_limit, limits.windows)
    if before:
        return count > min(least - 1, limits.windows - least)
    return count >= least
