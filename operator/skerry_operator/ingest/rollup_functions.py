"""SQL functions over rollups' states: they merge what nodes told, to the bit, in whatever order.

A state comes from a site, so what can't be read is counted and left out; it must not fail a question about the fleet.
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import reduce
from typing import Any

import duckdb
from duckdb.func import SPECIAL

from skerry_core.micros import time_of
from skerry_core.rollups.state import State, decode, encode, merge
from skerry_core.rollups.summary import histogram, quantile, summary

_MERGED = (
    'STRUCT("count" BIGINT, newest TIMESTAMPTZ, "sum" DOUBLE, mean DOUBLE, std DOUBLE, "min" DOUBLE, "max" DOUBLE, '
    "p50 DOUBLE, p95 DOUBLE, p99 DOUBLE, distinct_values BIGINT, vector DOUBLE[], unreadable BIGINT, state VARCHAR)"
)
_BUCKETS = 'STRUCT("value" DOUBLE, "count" BIGINT)[]'
# Microseconds since 1970 that a datetime can hold, either way.
_LATEST = 60_000_000_000_000_000


def define(connection: duckdb.DuckDBPyConnection) -> None:
    """Define `rollup(state)`, an aggregate, and `rollup_quantile(state, q)` and `rollup_histogram(state)`.

    Views take `rollup_of_kind(states, kind, length)`, for which a state of another kind than its record says is none.
    """
    functions: tuple[tuple[str, Callable[..., Any], list[str], str], ...] = (
        ("_rollup_of", _merged, ["VARCHAR[]"], _MERGED),
        ("rollup_of_kind", _merged_of_kind, ["VARCHAR[]", "VARCHAR", "DOUBLE"], _MERGED),
        ("rollup_quantile", _quantile, ["VARCHAR", "DOUBLE"], "DOUBLE"),
        ("rollup_histogram", _histogram, ["VARCHAR"], _BUCKETS),
    )
    for name, function, takes, gives in functions:
        connection.create_function(name, function, [*takes], gives, null_handling=SPECIAL)
    connection.execute("CREATE MACRO rollup(state) AS _rollup_of(list(state))")


def state_of(text: str | None) -> State | None:
    """The state that a record tells; None if it is none."""
    try:
        return None if text is None else decode(base64.b64decode(text, validate=True))
    except (ValueError, binascii.Error):
        return None


def _merged(texts: Sequence[str | None] | None) -> dict[str, Any] | None:
    """All states as one; ValueError for those of different kinds of values, which a GROUP BY has to tell apart."""
    found = [state_of(text) for text in texts or () if text is not None]
    states = [state for state in found if state is not None]
    if len({state.shape for state in states}) > 1:
        raise ValueError("states of different kinds: GROUP BY data_path, data_kind, data_length too")
    return _row(states, len(found) - len(states))


def _merged_of_kind(
    texts: Sequence[str | None] | None, kind: str | None, length: float | None
) -> dict[str, Any] | None:
    """All states of the kind as one."""
    found = [state_of(text) for text in texts or () if text is not None]
    states = [
        state
        for state in found
        if state is not None and (state.shape.kind.value, state.shape.length) == (kind, length or 0)
    ]
    return _row(states, len(found) - len(states))


def _row(states: Sequence[State], unreadable: int) -> dict[str, Any] | None:
    if not states:
        return None
    state = reduce(merge, states)
    says = summary(state)
    return {
        "count": says.count,
        "newest": None if abs(says.newest) > _LATEST else time_of(says.newest),
        "sum": says.total,
        "mean": says.mean,
        "std": says.std,
        "min": says.least,
        "max": says.greatest,
        "p50": says.p50,
        "p95": says.p95,
        "p99": says.p99,
        "distinct_values": says.distinct,
        "vector": None if says.vector is None else list(says.vector),
        "unreadable": unreadable,
        "state": base64.b64encode(encode(state)).decode(),
    }


def _quantile(text: str | None, q: float | None) -> float | None:
    state = state_of(text)
    return None if state is None or q is None else quantile(state, q)


def _histogram(text: str | None) -> list[dict[str, float]] | None:
    state = state_of(text)
    buckets = None if state is None else histogram(state)
    return None if buckets is None else [{"value": value, "count": count} for value, count in buckets]
