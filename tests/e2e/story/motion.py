"""The model team's other model: what a wearer does, from features of the samples instead of the samples.

It is trained on features that the same definition makes of recorded events as the sites make of live ones.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from skerry_core.features.apply import RawEvents, apply
from skerry_core.features.definition import FeatureSetDocument
from skerry_core.features.plan import Plan, compile_set
from skerry_core.features.read import read
from skerry_core.features.vector import vector
from skerry_operator.cli.feature_set_file import read_version
from tests.e2e.story.dataset import CHANNELS, Windows
from tests.e2e.story.network import run, vector_graph
from tests.e2e.story.sensors import PERIOD_US, encode, events
from tests.e2e.story.training import fit

if TYPE_CHECKING:
    from skerry_core.features.state import EntityState

VERSION = "1.0.0"
INPUT = "motion"
DEFINITION = Path(__file__).with_name("motion.yaml")
FEATURES = tuple(f"{channel}_{kind}" for kind in ("mean", "std") for channel in CHANNELS)

_RECORDED_US = 1_700_000_000_000_000  # when the training recordings were made, as their events say


def rows(document: FeatureSetDocument, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """Features [n, 12] of recorded windows [n, 100, 6], each as it was at its recording's end."""
    plan = compile_set(document)
    return np.stack([_row(plan, index, window) for index, window in enumerate(windows)])


def _row(plan: Plan, index: int, window: NDArray[np.float32]) -> NDArray[np.float32]:
    bodies = [encode(event) for event in events(window, f"recording-{index}", _RECORDED_US)]
    times = _RECORDED_US + PERIOD_US * np.arange(len(bodies), dtype=np.int64)
    states: dict[bytes, EntityState] = {}
    apply(plan, RawEvents(bodies, times, times), states)
    (state,) = states.values()
    return vector(plan, read(plan, state, int(times[-1])), FEATURES).values.astype(np.float32)


def moments(windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same features by numpy, from the samples themselves: means and population deviations [n, 12]."""
    samples = windows.astype(np.float64)
    return np.concatenate([samples.mean(axis=1), samples.std(axis=1)], axis=1).astype(np.float32)


def train(data: Windows, seed: int) -> bytes:
    """Train on every third recording and return the ONNX graph from features to scores."""
    x, exercise = data.x[::3], data.exercise[::3]
    fitted = fit(rows(read_version(DEFINITION), x), exercise, (32,), 200, seed)
    return vector_graph(INPUT, fitted.mean, fitted.scale, fitted.layers)


def expected_scores(model: bytes, windows: NDArray[np.float32]) -> NDArray[np.float32]:
    """What bare onnxruntime answers for windows [n, 100, 6], by numpy's features."""
    return run(model, moments(windows))
