"""How long to wait after the n-th failure in a row; pure, so the caller brings the dice."""

from datetime import timedelta

FIRST = timedelta(seconds=1)
LONGEST = timedelta(seconds=30)


def delay(failures: int, dice: float, longest: timedelta = LONGEST) -> timedelta:
    """Return a delay that doubles from 1 s to `longest`, of which `dice` in [0, 1) spreads the upper half.

    The spread keeps a fleet from returning to a healed peer in step; the lower half keeps a failing one from being
    hammered. `failures` counts from 1.
    """
    doubled: int = 1 << min(failures - 1, 16)
    return min(FIRST * doubled, longest) * (0.5 + dice / 2)
