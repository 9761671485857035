"""How many producers' ids each stream remembers: by need, out of what all of them have together. Pure.

A stream with a `maxRate` needs as many as it can take in within its window. One without may need any number, and takes
what the others leave, in equal parts.
"""

import math
from collections.abc import Iterable

from skerry_api.v1alpha1.syncpolicy import CONSENT, LABELS
from skerry_core.sync_policy.document import StreamPolicy
from skerry_edge.ingest.limits import BUILT_IN_IDS, BURST_SECONDS, MIN_IDS, TOTAL_IDS

# Skerry's own streams that others write.
BUILT_IN_INTAKE = frozenset({CONSENT, LABELS})


def need(policy: StreamPolicy) -> int:
    """Ids with which the stream's window holds, between MIN_IDS and TOTAL_IDS."""
    if policy.max_rate is not None:
        seconds = policy.dedup_window.total_seconds() + BURST_SECONDS
        # More than it can take in: the window ends when there is no room for another.
        return max(MIN_IDS, min(TOTAL_IDS, math.ceil(policy.max_rate * seconds) + 1))
    return BUILT_IN_IDS if policy.name in BUILT_IN_INTAKE else TOTAL_IDS


def shares(streams: Iterable[StreamPolicy]) -> dict[str, int]:
    """Ids of each stream, by name: what it needs, or an equal part of what those that need less leave of TOTAL_IDS.

    None gets fewer than MIN_IDS, even if all together then get more than TOTAL_IDS.
    """
    rising = sorted(streams, key=lambda policy: (need(policy), policy.name))
    left, found = TOTAL_IDS, {}
    for at, policy in enumerate(rising):
        share = min(need(policy), max(MIN_IDS, left // (len(rising) - at)))
        found[policy.name] = share
        left -= share
    return found
