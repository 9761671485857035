"""What a state says, in numbers. Sums are exact, so each number is rounded once, from the true value."""

from dataclasses import dataclass

from skerry_core.features.accumulators import sketch
from skerry_core.features.accumulators.distinct import estimate
from skerry_core.features.accumulators.exact import UNIT_BITS
from skerry_core.features.accumulators.vectors import mean
from skerry_core.features.values import deviation, quotient
from skerry_core.rollups.state import State, ValueKind


@dataclass(frozen=True)
class Summary:
    """What there is to say of a kind of values; None for the rest.

    `newest` is when the newest value was seen, in µs since 1970. `std` is that of a population, quantiles are the lower
    ones within 1 %, `distinct` is estimated (HyperLogLog, standard error 1.6 %), `vector` the mean by component.
    """

    count: int
    newest: int
    total: float | None = None
    mean: float | None = None
    std: float | None = None
    least: float | None = None
    greatest: float | None = None
    p50: float | None = None
    p95: float | None = None
    p99: float | None = None
    distinct: int | None = None
    vector: tuple[float, ...] | None = None


def summary(state: State) -> Summary:
    """The summary of a state."""
    (count, newest), *parts = state.parts
    match state.shape.kind:
        case ValueKind.TEXT:
            return Summary(count, newest, distinct=int(min(estimate(parts[0]), count)))
        case ValueKind.VECTOR:
            return Summary(count, newest, vector=tuple(quotient(*part) for part in mean(parts[0], count)))
    total, squares, least, greatest, counts, registers = parts

    def ranked(q: float) -> float:
        # A bucket's value stands for all in it, and may lie outside of what there was.
        found: float = min(max(sketch.quantile(counts, q), least), greatest)
        return found

    return Summary(
        count,
        newest,
        total=quotient(total, 1 << UNIT_BITS),
        mean=quotient(total, count << UNIT_BITS),
        std=deviation(count, total, squares),
        least=least,
        greatest=greatest,
        p50=ranked(0.5),
        p95=ranked(0.95),
        p99=ranked(0.99),
        distinct=int(min(estimate(registers), count)),
    )


def quantile(state: State, q: float) -> float | None:
    """The lower q-quantile (0 to 1) of numbers, within 1 %; None for other values."""
    return sketch.quantile(state.parts[5], min(max(q, 0.0), 1.0)) if state.shape.kind is ValueKind.NUMBER else None


def histogram(state: State) -> list[tuple[float, int]] | None:
    """Numbers' buckets, ascending: a value within 1 % of all in it, and how many those are; None for other values."""
    return sketch.buckets(state.parts[5]) if state.shape.kind is ValueKind.NUMBER else None
