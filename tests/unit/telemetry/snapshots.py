"""Snapshots for tests, made of the few figures that a test is about."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skerry_edge.telemetry.catalogue import TIERS
from skerry_edge.telemetry.measures import Measures, Snapshot

if TYPE_CHECKING:
    from collections.abc import Mapping

    from skerry_edge.telemetry.measures import Key

START = 1_795_000_000_000_000
GIB = 1 << 30
MIB = 1 << 20


def snapshot(
    seconds: float,
    levels: Mapping[Key, float] | None = None,
    counts: Mapping[Key, float] | None = None,
    *,
    boot: str = "boot-1",
    run: str = "run-1",
) -> Snapshot:
    """One process, `seconds` after START; the streams `plant` (Bulk) and `telemetry` (CriticalTelemetry)."""
    measures = Measures(
        run,
        counts or {},
        levels or {},
        epochs={"plant": "e1", "telemetry": "e2"},
        tiers={"plant": TIERS.index("Bulk"), "telemetry": 0},
    )
    return Snapshot(START + round(seconds * 1e6), round(seconds * 1000) + 5_000_000, boot, {"node": measures})


def stream(size: float, limit: float = 100 * MIB) -> dict[Key, float]:
    return {("logBytes", "plant"): size, ("logLimit", "plant"): limit}


def disk(free: float, capacity: float = 100 * GIB, logs: float = 0.0) -> dict[Key, float]:
    return {("diskFree",): free, ("diskCapacity",): capacity, ("logBytes", "plant"): logs}


def queue(records: float, *held: str, tier: str = "Bulk", size: float = 1000.0) -> dict[Key, float]:
    return {
        ("queueRecords", tier): records,
        ("queueBytes", tier): size,
        **{("held", tier, reason): 1.0 for reason in held},
    }
