"""What labels say of one prediction, merged: the same whatever order they come in, and however often.

The rule. Of all labels for a prediction those of the highest authority count, and the others don't. If these agree,
that is the truth, known since the earliest of them; if they contradict each other it is a conflict, and nothing is
known, until a label of a higher authority settles it. A label of any authority can forbid training.

The merge is a join semilattice (associative, commutative, idempotent), as state-based CRDTs need (Shapiro, Preguiça,
Baquero and Zawirski, "Conflict-free Replicated Data Types", SSS 2011).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

MAX_AUTHORITY = 9

Values: TypeAlias = tuple[float, ...]
"""What is true, one number for each row of the request: a class's index, a label, or a measured value."""

# Two opinions are a conflict; which others there are changes nothing. The least ones are kept, so that order doesn't.
_OPINIONS = 2


@dataclass(frozen=True, slots=True)
class Feedback:
    """One label, or several merged. `said` is when the truth was known (µs since 1970), None if no clock can tell.

    `opinions` are the least two of the different values at `authority`. `training` is false if anybody forbade it.
    """

    authority: int
    opinions: tuple[Values, ...]
    said: int | None
    training: bool = True

    @property
    def truth(self) -> Values | None:
        """What is true; None while there is a conflict."""
        return self.opinions[0] if len(self.opinions) == 1 else None


def label(values: Iterable[float], said: int | None, authority: int = 0, *, training: bool = True) -> Feedback:
    """One label's feedback. `values` are finite."""
    # 0.0 and -0.0 are equal, so one of them must stand for both.
    return Feedback(authority, (tuple(value + 0.0 for value in values),), said, training)


def merged(one: Feedback, other: Feedback) -> Feedback:
    """Both together."""
    training = one.training and other.training
    if one.authority != other.authority:
        top = max(one, other, key=lambda each: each.authority)
        return Feedback(top.authority, top.opinions, top.said, training)
    opinions = tuple(sorted({*one.opinions, *other.opinions})[:_OPINIONS])
    times = [said for said in (one.said, other.said) if said is not None]
    return Feedback(one.authority, opinions, min(times, default=None), training)


def merge_all(labels: Iterable[Feedback]) -> Feedback:
    """All labels of one prediction together. TypeError if there is none."""
    return reduce(merged, labels)
