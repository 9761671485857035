"""Folding pairs into windows, and evidence of several nodes into one: merging is a sum, so order never matters."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import reduce

from skerry_core.evidence.histogram import bucket_of, merge
from skerry_core.evidence.window import Evidence, Labelled, Pair, Window
from skerry_core.micros import floored

# The guardrail whose trips are no errors: the answer came too late, and the latency histograms hold it against it.
LATENCY_LIMIT = "LatencyLimit"
# Thin traffic may keep a canary open for days; what is older is summed into the oldest window.
MAX_WINDOWS = 128


def window_start(at: datetime, interval: timedelta) -> datetime:
    """Start of the window that `at` is in; windows are aligned to 1970 so that all nodes cut at the same times."""
    return floored(at, interval)


@dataclass
class _Sums:
    rows: int = 0
    disagreements: int = 0
    requests: int = 0
    errors: int = 0
    trips: int = 0
    ratios: Counter[int] = field(default_factory=Counter)
    differences: Counter[int] = field(default_factory=Counter)

    def add(self, pair: Pair) -> None:
        self.requests += 1
        self.rows += pair.rows
        self.disagreements += pair.disagreements
        self.trips += bool(pair.error)
        self.errors += bool(pair.error) and pair.error != LATENCY_LIMIT
        if pair.challenger_latency is not None and pair.champion_latency > 0:
            self.ratios[bucket_of(pair.challenger_latency / pair.champion_latency)] += 1
            self.differences[bucket_of(pair.challenger_latency - pair.champion_latency)] += 1

    def window(self, start: datetime) -> Window:
        return Window(
            start=start,
            rows=self.rows,
            disagreements=self.disagreements,
            requests=self.requests,
            errors=self.errors,
            trips=self.trips,
            ratios=Counter(self.ratios),
            differences=Counter(self.differences),
        )


class Collector:
    """Evidence of one running canary on one node: pairs in, windows out. The caller serializes access."""

    def __init__(self, champion: str, challenger: str, interval: timedelta) -> None:
        """Begin with no evidence; `champion` and `challenger` are digests, `interval` is a window's length."""
        self._champion = champion
        self._challenger = challenger
        self._interval = interval
        self._windows: dict[datetime, _Sums] = {}

    def add(self, pair: Pair) -> None:
        """Count a pair in the window of its time."""
        start = window_start(pair.at, self._interval)
        sums = self._windows.get(start)
        if sums is None:
            sums = self._windows[start] = _Sums()
        sums.add(pair)

    def evidence(self) -> Evidence:
        """Everything since the canary began, oldest window first, at most MAX_WINDOWS windows."""
        windows = [self._windows[start].window(start) for start in sorted(self._windows)]
        surplus = len(windows) - MAX_WINDOWS
        if surplus > 0:
            oldest = _add(windows[: surplus + 1])
            windows[: surplus + 1] = [oldest]
            self._windows = {window.start: _sums(window) for window in windows}
        return Evidence(self._champion, self._challenger, tuple(windows))


def _sums(window: Window) -> _Sums:
    return _Sums(
        rows=window.rows,
        disagreements=window.disagreements,
        requests=window.requests,
        errors=window.errors,
        trips=window.trips,
        ratios=Counter(window.ratios),
        differences=Counter(window.differences),
    )


def _add(windows: Iterable[Window]) -> Window:
    windows = tuple(windows)
    return Window(
        start=min(window.start for window in windows),
        rows=sum(window.rows for window in windows),
        disagreements=sum(window.disagreements for window in windows),
        requests=sum(window.requests for window in windows),
        errors=sum(window.errors for window in windows),
        trips=sum(window.trips for window in windows),
        ratios=merge(window.ratios for window in windows),
        differences=merge(window.differences for window in windows),
    )


def total(evidence: Evidence) -> Window | None:
    """All windows in one; None if there is none yet."""
    return _add(evidence.windows) if evidence.windows else None


def combine(evidences: Iterable[Evidence]) -> Evidence:
    """Evidence of several nodes about the same two releases, as one: windows of the same time are added.

    Commutative and associative. ValueError if there is none, or if they are about different releases.
    """
    evidences = tuple(evidences)
    subjects = {(evidence.champion, evidence.challenger) for evidence in evidences}
    if len(subjects) != 1:
        raise ValueError(f"evidence about {len(subjects)} pairs of releases can't be combined")
    windows: dict[datetime, list[Window]] = {}
    for evidence in evidences:
        for window in evidence.windows:
            windows.setdefault(window.start, []).append(window)
    champion, challenger = subjects.pop()
    labelled = reduce(Labelled.plus, (evidence.labelled for evidence in evidences))
    return Evidence(champion, challenger, tuple(_add(windows[start]) for start in sorted(windows)), labelled)
