"""Takes a few of the champion's requests aside for the watcher. All that a request pays for drift is in `offer`."""

import random
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from skerry_core.lineage.record import FeatureLineage
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.backend import Tensor, Tensors

MAX_ROWS = 64
MAX_SAMPLES = 64
MAX_BYTES = 8 << 20


@dataclass(frozen=True)
class Sample:
    """One request of a model and its champion's answer, of MAX_ROWS rows at most."""

    key: ModelKey
    digest: str
    inputs: Tensors
    outputs: Tensors
    lineage: tuple[FeatureLineage, ...] = ()


@dataclass
class _Turn:
    """When a release's next request is taken, by the monotonic clock.

    Request threads move it on without a lock: two of them may both take their request, which does no harm.
    """

    interval: float
    due: float = 0.0


class Sampler:
    """Holds samples until they are drained, MAX_SAMPLES and MAX_BYTES of them at most. Safe for threads."""

    def __init__(self) -> None:
        self._turns: Mapping[str, _Turn] = {}
        self._held: list[Sample] = []
        self._bytes = 0
        self._lock = threading.Lock()

    def pace(self, intervals: Mapping[str, float]) -> None:
        """Take requests of these releases, by digest, about so many seconds apart, and of no others."""
        before = self._turns
        self._turns = {
            digest: _Turn(interval, before[digest].due if digest in before else 0.0)
            for digest, interval in intervals.items()
        }

    def offer(
        self, key: ModelKey, digest: str, inputs: Tensors, outputs: Tensors, lineage: tuple[FeatureLineage, ...] = ()
    ) -> None:
        """Take the request if it is its release's turn; tensors may not change afterwards."""
        turn = self._turns.get(digest)
        if turn is None:
            return
        now = time.monotonic()
        if now < turn.due:
            return
        # Not in step with a client that asks periodically.
        turn.due = now + turn.interval * random.uniform(0.5, 1.5)  # noqa: S311 - no secret
        sample = Sample(key, digest, _few(inputs), _few(outputs), lineage)
        size = sum(tensor.nbytes for tensors in (sample.inputs, sample.outputs) for tensor in tensors.values())
        with self._lock:
            if len(self._held) < MAX_SAMPLES and self._bytes + size <= MAX_BYTES:
                self._held.append(sample)
                self._bytes += size

    def drain(self) -> list[Sample]:
        """All that was taken since the last time."""
        with self._lock:
            held, self._held, self._bytes = self._held, [], 0
        return held


def _few(tensors: Tensors) -> Tensors:
    """Rows from all over a large request, copied so that they don't keep the whole of it."""
    return {name: _spread(tensor) for name, tensor in tensors.items()}


def _spread(tensor: Tensor) -> Tensor:
    rows = tensor.shape[0] if tensor.ndim else 1
    return tensor if rows <= MAX_ROWS else tensor[:: -(-rows // MAX_ROWS)].copy()
