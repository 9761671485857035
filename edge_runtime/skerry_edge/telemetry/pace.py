"""How often to tell a summary, so that telemetry doesn't use up a small budget by itself. Pure."""

from skerry_core.sync_policy.document import Budget

SHORTEST, LONGEST = 60.0, 3600.0
# What a summary takes of a batch, about; and the part of its tier's budget that all summaries together may take.
_BYTES = 512
_SHARE = 0.125
_HOUR, _DAY = 3600, 86_400


def tell_seconds(budget: Budget) -> float:
    """Seconds between two summaries: a minute, or as much more as the budget asks for, up to an hour."""
    rates = [
        limit / seconds
        for limit, seconds in (
            (budget.bytes_per_second, 1),
            (budget.bytes_per_hour, _HOUR),
            (budget.bytes_per_day, _DAY),
        )
        if limit is not None
    ]
    if not rates:
        return SHORTEST
    return min(max(_BYTES / (_SHARE * min(rates)), SHORTEST), LONGEST)
