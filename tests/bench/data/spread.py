"""A figure and how sure it is."""

import numpy as np
from numpy.typing import NDArray


def spread(values: NDArray[np.float64]) -> dict[str, float]:
    """Median of the rounds, and the interval that holds nine tenths of them."""
    return {
        "median": float(np.median(values)),
        "p5": float(np.quantile(values, 0.05)),
        "p95": float(np.quantile(values, 0.95)),
    }


def text(figures: dict[str, float], form: str = ".2f") -> str:
    """The same for people."""
    return f"{figures['median']:{form}}  ({figures['p5']:{form}} to {figures['p95']:{form}})"
