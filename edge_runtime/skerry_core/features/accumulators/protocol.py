"""What every accumulator is: the part of a pane that one or more features are computed from."""

from collections.abc import Sequence
from functools import reduce
from typing import Any, Protocol

from skerry_core.features.columns import Column, Groups


class Accumulator(Protocol):
    """Values are immutable. `merge` is commutative and associative, so neither order nor batching matters.

    `pack` gives what MessagePack can hold, the same for the same events; `unpack(pack(value)) == value`.
    """

    def gather(self, column: Column, groups: Groups) -> list[Any]:
        """The value of each group of rows, in the order of `groups.ids`."""
        ...

    def merge(self, one: Any, other: Any) -> Any:
        """The value of all events of both."""
        ...

    def fold(self, values: Sequence[Any]) -> Any:
        """The value of all events of at least one: what `merge` comes to, where that can be had quicker."""
        return reduce(self.merge, values)

    def pack(self, value: Any) -> Any:
        """A canonical form out of integers, floats, bytes and lists."""
        ...

    def unpack(self, packed: Any) -> Any:
        """The value again; ValueError, TypeError or IndexError if it is none."""
        ...
