"""Wrist IMU recordings of ten people doing shoulder exercises (seglearn's watch dataset, arXiv:1802.01489).

The array ships inside the seglearn wheel. It is read without importing the package, which would pull in all of it.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WINDOW = 100  # samples: two seconds at 50 Hz
STRIDE = 50
CHANNELS = ("ax", "ay", "az", "wx", "wy", "wz")  # accelerations in g, angular rates in rad/s
EXERCISES = ("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW")
SUBJECTS = tuple(range(1, 11))


@dataclass(frozen=True)
class Windows:
    """Windows of recordings: `x` [n, 100, 6] float32, `exercise` [n] and `subject` [n] integers."""

    x: NDArray[np.float32]
    exercise: NDArray[np.int64]
    subject: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.x)

    def only(self, subjects: Iterable[int]) -> "Windows":
        """Keep the windows of these people."""
        return self._where(np.isin(self.subject, list(subjects)))

    def _where(self, mask: NDArray[np.bool_]) -> "Windows":
        return Windows(self.x[mask], self.exercise[mask], self.subject[mask])


@dataclass(frozen=True)
class Splits:
    """Three stretches of each recording in time, with gaps, so that no window overlaps one of another split."""

    train: Windows
    validation: Windows
    held_out: Windows


def _recordings() -> dict[str, NDArray[np.object_]]:
    spec = find_spec("seglearn")
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError("the wrist IMU dataset comes with the package seglearn: run `make venv`")
    path = Path(spec.submodule_search_locations[0]) / "data" / "watch_dataset.npy"
    # A pickle, from a package whose version the project pins; never from anywhere else.
    return np.load(path, allow_pickle=True).item()  # type: ignore[no-any-return]


@cache
def load() -> Splits:
    """Cut every recording into overlapping windows and split each by time: 60 % / 18 % / 18 %."""
    data = _recordings()
    x, exercise, subject, position = [], [], [], []
    for series, label, person in zip(data["X"], data["y"], data["subject"], strict=True):
        starts = range(0, len(series) - WINDOW + 1, STRIDE)
        x.extend(series[start : start + WINDOW] for start in starts)
        exercise.extend([label] * len(starts))
        subject.extend([person] * len(starts))
        position.extend(index / len(starts) for index in range(len(starts)))
    windows = Windows(np.array(x, np.float32), np.array(exercise, np.int64), np.array(subject, np.int64))
    at = np.array(position)
    return Splits(
        train=windows._where(at < 0.60),
        validation=windows._where((at >= 0.62) & (at < 0.80)),
        held_out=windows._where(at >= 0.82),
    )
