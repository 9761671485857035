"""Paths of privacy rules: `person.name`, `rows.*.id`. How they find values, and how a value is replaced or taken out.

A path fails safe: where it meets a value that it can't go into (text where it expects an object, say), that whole value
is taken out, since what it marks may be inside. Null and a missing key mark nothing. Keys that hold dots themselves are
met too: `service.name` marks both {"service": {"name": …}} and {"service.name": …}.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, TypeAlias

Json: TypeAlias = Any

EVERY = "*"


class Gone(Enum):
    """Stands for a value that is taken out."""

    GONE = 0


GONE = Gone.GONE


@dataclass
class Tally:
    """What happened while rules were applied: how often one didn't fit what it found, and what was aggregated.

    `values` has (index of the rule, number) for each.
    """

    misfits: int = 0
    values: list[tuple[int, int | float]] = field(default_factory=list)


# Replaces a marked value, or returns GONE; called for anything that JSON can hold but null.
Change: TypeAlias = Callable[[Json, Tally], Json]


@dataclass(frozen=True)
class Path:
    """One compiled path. `steps[i]` lists (key, number of the next step) for an object met at step i."""

    steps: tuple[tuple[tuple[str, int], ...], ...]

    @classmethod
    def parse(cls, text: str) -> "Path":
        """Any text is a path: dots part it into keys, the key `*` stands for every key or item."""
        keys = text.split(".")
        steps = []
        for at, key in enumerate(keys):
            ends = [at + 1]
            if key != EVERY:
                ends += range(at + 2, len(keys) + 1)
            steps.append(tuple((".".join(keys[at:end]), end) for end in ends))
        return cls(tuple(steps))

    def apply(self, value: Json, change: Change, tally: Tally) -> Json:
        """`value` with everything that the path marks below it changed in place; or GONE."""
        return self._apply(value, 0, change, tally)

    def _apply(self, value: Json, at: int, change: Change, tally: Tally) -> Json:
        if value is None:
            return None
        if at == len(self.steps):
            return change(value, tally)
        if isinstance(value, dict):
            self._into_object(value, at, change, tally)
            return value
        if isinstance(value, list) and self.steps[at][0][0] == EVERY:
            # An item that goes leaves a null, so that the others keep their places.
            for index, item in enumerate(value):
                changed = self._apply(item, at + 1, change, tally)
                value[index] = None if changed is GONE else changed
            return value
        tally.misfits += 1
        return GONE

    def _into_object(self, value: dict[str, Json], at: int, change: Change, tally: Tally) -> None:
        for key, following in self.steps[at]:
            for name in list(value) if key == EVERY else (key,):
                below = value.get(name)
                if below is None:
                    continue
                last = following == len(self.steps)
                changed = change(below, tally) if last else self._apply(below, following, change, tally)
                if changed is GONE:
                    del value[name]
                else:
                    value[name] = changed
