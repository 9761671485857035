"""Integers as the errors of a simple prediction, which are small where the integers are regular.

The fixed predictors of FLAC (RFC 9639, section 9.2.5): nothing, the value before, the line through the two before.
"Before" can mean `lag` places back (the same channel of an array's previous sample), or the previous row of the same
group (the same device, in a stream where devices take turns). All arithmetic is modulo 2**64, so every int64 is exact.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Int64s = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Groups:
    """Rows by group: `order` [n] lists row numbers group after group, `starts` where in it each group begins."""

    order: Int64s
    starts: Int64s

    @staticmethod
    def of(codes: Int64s) -> "Groups":
        """Rows with one code are a group; within it they keep their order."""
        order = np.argsort(codes, kind="stable")
        sorted_codes = codes[order]
        begins = np.ones(len(codes), np.bool_)
        begins[1:] = sorted_codes[1:] != sorted_codes[:-1]
        return Groups(order, np.flatnonzero(begins))

    def sizes(self) -> Int64s:
        """Rows of each group."""
        return np.diff(self.starts, append=len(self.order))


@dataclass(frozen=True, slots=True)
class Predictor:
    """`order` 0 to 2; with `groups`, `lag` is 1."""

    order: int
    lag: int = 1

    def errors(self, values: Int64s, groups: Groups | None = None) -> Int64s:
        """What is left of the values [n] when the prediction is taken away [n]."""
        if groups is None:
            for _ in range(self.order):
                values = _lagged_difference(values, self.lag)
            return values
        values = values[groups.order]
        if self.order == 0:
            return values
        bases = values[groups.starts]
        for _ in range(self.order):
            values = _lagged_difference(values, 1)
            values[groups.starts] = 0
        values[groups.starts] = _lagged_difference(bases, 1)
        return values

    def values(self, errors: Int64s, groups: Groups | None = None) -> Int64s:
        """The inverse of `errors`."""
        if groups is None:
            for _ in range(self.order):
                errors = _lagged_sum(errors, self.lag)
            return errors
        if self.order:
            bases = np.cumsum(errors[groups.starts])
            errors = errors.copy()
            errors[groups.starts] = 0
            sizes = groups.sizes()
            for _ in range(self.order):
                sums = np.cumsum(errors)
                errors = sums - np.repeat(sums[groups.starts], sizes)
            errors += np.repeat(bases, sizes)
        values = np.empty_like(errors)
        values[groups.order] = errors
        return values


def zigzag(errors: Int64s) -> NDArray[np.uint64]:
    """Signed to unsigned, small to small: 0, -1, 1, -2 become 0, 1, 2, 3."""
    return ((errors << 1) ^ (errors >> 63)).view(np.uint64)


def unzigzag(values: NDArray[np.uint64]) -> Int64s:
    """The inverse of `zigzag`."""
    return (values >> np.uint64(1)).view(np.int64) ^ -(values & np.uint64(1)).view(np.int64)


def _lagged_difference(values: Int64s, lag: int) -> Int64s:
    differences = values.copy()
    differences[lag:] -= values[:-lag]
    return differences


def _lagged_sum(errors: Int64s, lag: int) -> Int64s:
    if lag == 1:
        return np.cumsum(errors)
    if lag >= len(errors):
        return errors  # none has another before it; a lag that lies must not be what memory is taken by
    padded = np.zeros(-(-len(errors) // lag) * lag, np.int64)
    padded[: len(errors)] = errors
    return np.cumsum(padded.reshape(-1, lag), axis=0).ravel()[: len(errors)]
