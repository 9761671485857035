"""Limits on a single answer of the challenger: which one it breaks, and when there were too many. Pure."""

from collections import deque
from datetime import timedelta

import numpy as np

from skerry_core.assignment.document import GuardrailLimits
from skerry_core.bundle.manifest import Manifest
from skerry_core.evidence.collect import LATENCY_LIMIT
from skerry_edge.inference.backend import DTYPES, Tensors

EXCEPTION = "Exception"
NON_FINITE = "NonFinite"
SHAPE = "Shape"
RANGE = "Range"

# The metric that a release is said to have failed by when a guardrail ended its canary.
METRICS = {
    EXCEPTION: "model_exceptions",
    NON_FINITE: "non_finite_outputs",
    SHAPE: "output_shape",
    RANGE: "output_range",
    LATENCY_LIMIT: "latency_limit",
}


def non_finite(outputs: Tensors) -> str | None:
    """Name of the first output that holds NaN or infinity."""
    for name, values in outputs.items():
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            return name
    return None


def broken(outputs: Tensors, champion: Tensors | None, manifest: Manifest, limits: GuardrailLimits) -> str:
    """The guardrail that a challenger's outputs break, or "".

    `champion` is the other answer to the same request, if there is one: names and shapes have to be equal. The range is
    that of all floating-point outputs.
    """
    if champion is not None and outputs.keys() != champion.keys():
        return SHAPE
    for spec in manifest.outputs:
        values = outputs[spec.name]
        if values.dtype != DTYPES[spec.datatype] or (
            champion is not None and values.shape != champion[spec.name].shape
        ):
            return SHAPE
    if non_finite(outputs) is not None:
        return NON_FINITE
    low, high = limits.output_min, limits.output_max
    for values in outputs.values():
        if values.dtype.kind != "f" or not values.size:
            continue
        if (low is not None and values.min() < low) or (high is not None and values.max() > high):
            return RANGE
    return ""


class TripCounter:
    """Tells when `max_trips` fell within `window`; times in seconds of one steady clock."""

    def __init__(self, max_trips: int, window: timedelta) -> None:
        self._window = window.total_seconds()
        self._trips: deque[float] = deque(maxlen=max_trips)

    def trip(self, at: float) -> bool:
        """Count a trip; whether it is one too many."""
        self._trips.append(at)
        return len(self._trips) == self._trips.maxlen and at - self._trips[0] <= self._window
