"""Drift as the serving process puts it together."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry

from skerry_core.drift.limits import DriftLimits
from skerry_edge.events.log import StreamLog
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.activator import Activator
from skerry_edge.inference.drift.files import WatchFiles
from skerry_edge.inference.drift.metrics import DriftCollector
from skerry_edge.inference.drift.record import DriftLog
from skerry_edge.inference.drift.sampler import Sampler
from skerry_edge.inference.drift.watcher import DriftWatcher
from skerry_edge.inference.routing import Routes
from skerry_edge.inference.store_folder import StoreFolder


def make_watcher(
    state: Path,
    *,
    store: StoreFolder,
    routes: Routes,
    activator: Activator,
    log: StreamLog,
    registry: CollectorRegistry,
    now: Callable[[], datetime],
) -> tuple[Sampler, DriftWatcher]:
    """What requests are offered to, and what watches them; `state` is the folder to keep it in, `log` tells of it."""

    def limits(key: ModelKey) -> DriftLimits:
        """Those of the assignment; the defaults for a model that none names any more."""
        activation = activator.states.get(key)
        assigned = None if activation is None or activation.assigned is None else activation.assigned.drift
        return assigned or DriftLimits()

    sampler = Sampler()
    watcher = DriftWatcher(
        routes=routes,
        sampler=sampler,
        limits=limits,
        blob=store.blob,
        files=WatchFiles(state),
        changed=DriftLog(log).changed,
        now=now,
    )
    registry.register(DriftCollector(watcher))
    return sampler, watcher
