"""Columns of made-up fields whose distributions are known, and baselines of them."""

import numpy as np

from skerry_core.drift.baseline import Baseline, make_baseline
from skerry_core.drift.columns import ColumnSource, Measure, Side
from skerry_core.drift.judge import Drift, drift
from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.sketch import sketch

# Each takes a generator, a number of rows and a shift in about its own standard deviations.
FIELDS = {
    "normal": lambda rng, n, shift: rng.normal(shift, 1, n),
    "offset": lambda rng, n, shift: 101.3 + 0.1 * rng.normal(shift, 1, n),
    "huge": lambda rng, n, shift: 1e9 + 1e3 * rng.normal(shift, 1, n),
    "tiny": lambda rng, n, shift: 1e-9 * rng.normal(shift, 1, n),
    "lognormal": lambda rng, n, shift: rng.lognormal(shift, 1, n),
    "uniform": lambda rng, n, shift: rng.uniform(-1, 1, n) + shift,
    "spiked": lambda rng, n, shift: np.where(rng.random(n) < 0.3, 0.0, rng.normal(5 + 2 * shift, 1, n)),
    "constant": lambda rng, n, shift: np.full(n, 7.0 + shift),
    "binary": lambda rng, n, shift: (rng.random(n) < 0.3 + 0.4 * min(shift, 1)).astype(float),
    "kinds": lambda rng, n, shift: rng.binomial(9, min(0.3 + 0.25 * shift, 1), n).astype(float),
    "counts": lambda rng, n, shift: np.floor(rng.gamma(4, 30 * (1 + shift), n)),
}
WHOLE = frozenset({"binary", "kinds", "counts"})


def sources(*names: str) -> list[ColumnSource]:
    return [ColumnSource(name, Side.INPUT, name, Measure.ELEMENT) for name in names]


def columns(rng: np.random.Generator, rows: int, *names: str, shift: float = 0.0) -> list[np.ndarray]:
    return [FIELDS[name](rng, rows, shift) for name in names]


def baseline(rng: np.random.Generator, rows: int, *names: str) -> Baseline:
    made = make_baseline(sources(*names), columns(rng, rows, *names), [name in WHOLE for name in names])
    assert made is not None
    return made


def seen(against: Baseline, values: list[np.ndarray], limits: DriftLimits | None = None) -> Drift:
    sketches = sketch([column.scale for column in against.columns], values)
    return drift(against, sketches, limits or DriftLimits())
