"""Evidence of a challenger against its champion on the same requests, in windows that merge exactly."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

# Errors of labelled rows are counted in millionths, so that they add exactly.
MICROS = 1_000_000


@dataclass(frozen=True)
class Pair:
    """One request that champion and challenger both ran; latencies in seconds.

    `disagreements` counts rows of the request whose decisions differ; None for `challenger_latency` and 0 rows mean
    that the challenger gave no answer that could be compared.
    """

    at: datetime
    rows: int
    disagreements: int
    champion_latency: float
    challenger_latency: float | None
    error: str = ""


@dataclass(frozen=True)
class Window:
    """Sums over the pairs of one interval of one node, or of several merged. All fields add, so merging is exact.

    `ratios` and `differences` are histograms (bucket index -> count) of paired latency ratio and of paired latency
    difference; see `skerry_core.evidence.histogram` for the buckets.
    """

    start: datetime
    rows: int = 0
    disagreements: int = 0
    requests: int = 0
    errors: int = 0
    trips: int = 0
    ratios: Mapping[int, int] = field(default_factory=Counter)
    differences: Mapping[int, int] = field(default_factory=Counter)


@dataclass(frozen=True)
class Labelled:
    """What labels say of both on the same requests: rows, and each one's error in millionths, summed over them."""

    rows: int = 0
    champion_error: int = 0
    challenger_error: int = 0

    def plus(self, other: "Labelled") -> "Labelled":
        """Both together, of different requests."""
        return Labelled(
            self.rows + other.rows,
            self.champion_error + other.champion_error,
            self.challenger_error + other.challenger_error,
        )


@dataclass(frozen=True)
class Evidence:
    """All windows of one challenger since its canary began, oldest first.

    `labelled` is no part of a window: labels come days later, and are settled later still.
    """

    champion: str
    challenger: str
    windows: tuple[Window, ...] = ()
    labelled: Labelled = Labelled()
