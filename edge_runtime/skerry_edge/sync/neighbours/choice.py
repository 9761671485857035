"""Whose snapshot a node that is new takes. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pydantic import ValidationError

from skerry_api.v1alpha1.runtimenode import FeatureSnapshot, RuntimeNodeStatus
from skerry_core.micros import time_of
from skerry_edge.features.adoption import AHEAD, OLDER
from skerry_edge.sync.neighbours.offers import MAX_BYTES


@dataclass(frozen=True)
class Source:
    """A snapshot, the node that has it, and where."""

    node: str
    address: str
    snapshot: FeatureSnapshot


def sources(objects: Iterable[dict[str, Any]], site: str, own: str) -> tuple[Source, ...]:
    """What the site's other nodes offer, by their RuntimeNodes; what can't be understood is left out.

    Each node can write its own RuntimeNode only, so it is the API server that vouches for who offers a digest.
    """
    found = []
    for item in objects:
        try:
            node, status = str(item["metadata"]["name"]), RuntimeNodeStatus.model_validate(item.get("status") or {})
        except (KeyError, TypeError, ValidationError):
            continue
        if node != own and status.site == site and status.address:
            found += [Source(node, status.address, snapshot) for snapshot in status.snapshots]
    return tuple(found)


def candidates(version: str, begun: int, offers: Iterable[Source], now: datetime) -> tuple[Source, ...]:
    """Those that would do for a version that was `begun` then (µs), the one that holds most first.

    Each node's newest is at most an hour old, so how fresh they are tells less than how much they hold.
    Whoever takes one over (`skerry_edge.features.adoption`) holds the file itself against the same rules.
    """
    latest = time_of(begun) - OLDER
    fit = [
        source
        for source in offers
        if source.snapshot.feature_set == version
        and source.snapshot.size <= MAX_BYTES
        and source.snapshot.made_at <= now + AHEAD
        and source.snapshot.expires_at > now
        and source.snapshot.begun_at <= latest
    ]
    return tuple(
        sorted(fit, key=lambda source: (-source.snapshot.size, -source.snapshot.made_at.timestamp(), source.node))
    )
