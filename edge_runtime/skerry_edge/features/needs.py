"""Which versions are computed here. Pure.

Missing desired state never means delete: without an assignment nothing is dropped, and what it doesn't name is dropped
only after it was named by nobody (no assignment, no resident release, none that was kept) for a while.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta

DROP_AFTER = timedelta(minutes=15)


@dataclass(frozen=True)
class Needs:
    """Digests of versions that releases and assignment name; `certain` if there is an assignment to go by."""

    digests: frozenset[str]
    certain: bool


@dataclass(frozen=True)
class Plan:
    """Versions to begin and to drop; `unneeded` since when (seconds, steady), by digest."""

    begin: tuple[str, ...]
    drop: tuple[str, ...]
    unneeded: Mapping[str, float]


def plan(have: Iterable[str], needs: Needs, unneeded: Mapping[str, float], now: float) -> Plan:
    """What to begin and drop, of the versions that there are."""
    here = frozenset(have)
    idle = here - needs.digests if needs.certain else frozenset()
    since = {digest: unneeded.get(digest, now) for digest in idle}
    drop = tuple(sorted(digest for digest, at in since.items() if now - at >= DROP_AFTER.total_seconds()))
    return Plan(tuple(sorted(needs.digests - here)), drop, {k: v for k, v in since.items() if k not in drop})
