"""What a budget says by itself, whatever of it is used. Pure."""

from skerry_core.sync_policy.document import Budget
from skerry_edge.sync.schedule.ledger import DAY, HOUR


def rate_of(budget: Budget) -> float | None:
    """Bytes a second that a budget allows on average; None without one."""
    rates = [
        limit / seconds
        for limit, seconds in (
            (budget.bytes_per_second, 1),
            (budget.bytes_per_hour, HOUR),
            (budget.bytes_per_day, DAY),
        )
        if limit is not None
    ]
    return min(rates, default=None)


def rolling(budget: Budget) -> list[int]:
    """Its limits in bytes of an hour and of a day, those that it has."""
    return [limit for limit in (budget.bytes_per_hour, budget.bytes_per_day) if limit is not None]


def is_limited(budget: Budget) -> bool:
    """Whether it bounds anything."""
    return rate_of(budget) is not None


def most_at_once(budget: Budget, spare: float) -> int:
    """The most bytes that can ever go at once within the budgets of an hour and a day, but for what is carried over.

    `spare` is the share of both that is left. A budget a second bounds nothing: what is more than its tokens goes when
    they are full, and leaves a debt.
    """
    return min((int(limit * (1 - spare)) for limit in rolling(budget)), default=1 << 62)


def spelled(budget: Budget) -> str:
    """As messages name it, in bytes: `1000 a second, 20000 a day`."""
    said = {"second": budget.bytes_per_second, "hour": budget.bytes_per_hour, "day": budget.bytes_per_day}
    return ", ".join(f"{limit} a {unit}" for unit, limit in said.items() if limit is not None)
