"""Jittered, bounded backoff, so that a thousand sites don't come back in step."""

import random


class Backoff:
    """Delays in seconds that double from `first` to `longest`; each is drawn from [half, whole] of its step."""

    def __init__(self, first: float, longest: float, draw: random.Random | None = None) -> None:
        self._first = first
        self._longest = longest
        self._draw = draw or random.Random()  # noqa: S311 - spreads load, keeps no secret
        self._step = first

    def next(self) -> float:
        """The delay before the next try."""
        step, self._step = self._step, min(self._step * 2, self._longest)
        return step * self._draw.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin at `first` again, after something worked."""
        self._step = self._first
