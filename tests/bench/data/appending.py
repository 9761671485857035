"""Durable appends a second, log and SQLite in turns, so that both get the same disk and the same neighbours."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skerry_edge.events.record import NewRecord
from tests.bench.data.spread import spread
from tests.bench.data.stores import LogStore, SqliteStore

ROUNDS = 30
SECONDS = 0.25  # of one store in one round; SQLite checkpoints several times in it


def measure(folder: Path, records: Sequence[NewRecord], batch: int) -> dict[str, Any]:
    """Records a second of both, and the ratio in each round."""
    folder.mkdir()
    stores = {"log": LogStore(folder / "log"), "sqlite": SqliteStore(folder / "sqlite")}
    batches = {
        name: [store.prepare(records[at : at + batch]) for at in range(0, len(records) - batch, batch)]
        for name, store in stores.items()
    }
    rates: dict[str, list[float]] = {name: [] for name in stores}
    at = 0
    for number in range(ROUNDS + 1):
        # Who begins changes, and the first round only warms up.
        for name in sorted(stores, reverse=bool(number % 2)):
            store, prepared = stores[name], batches[name]
            count, began = 0, time.perf_counter()
            while (took := time.perf_counter() - began) < SECONDS:
                store.append(prepared[(at + count) % len(prepared)])  # type: ignore[arg-type]
                count += 1
            if number:
                rates[name].append(count * batch / took)
        at += 1000
    for store in stores.values():
        store.close()
    ratios = np.array(rates["log"]) / np.array(rates["sqlite"])
    return {
        "events_per_s": {name: spread(np.array(each)) for name, each in rates.items()},
        "ratio": spread(ratios),
    }
