"""Times as records have them: microseconds since 1970 UTC, which reach beyond what a datetime can hold."""

from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def micros_of(at: datetime) -> int:
    """An aware datetime in microseconds."""
    return (at - _EPOCH) // _MICROSECOND


def micros_in(span: timedelta) -> int:
    """A span in microseconds."""
    return span // _MICROSECOND


def time_of(micros: int) -> datetime:
    """In UTC. OverflowError outside the years 1 to 9999."""
    return _EPOCH + timedelta(microseconds=micros)


def floored(at: datetime, unit: timedelta) -> datetime:
    """An aware datetime down to a multiple of `unit` since 1970, in UTC. OverflowError outside the years 1 to 9999."""
    return _EPOCH + (at - _EPOCH) // unit * unit


def rfc3339(micros: int) -> str:
    """In UTC, to the microsecond; a time outside the years 1 to 9999 as its number."""
    try:
        at = time_of(micros)
    except OverflowError:
        return f"{micros} µs"
    return at.isoformat(timespec="microseconds").replace("+00:00", "Z")
