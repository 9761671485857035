"""Watches the champions' real traffic for drift, in a thread of its own, within a share of one core.

It only ever tells: metrics, an event, a part of the report. Nothing that decides about releases reads it.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import structlog

from skerry_api.v1alpha1.drift import DriftReport
from skerry_core.bundle.manifest import FileEntry, Manifest
from skerry_core.drift.baseline import MAX_BASELINE_BYTES, Baseline, BaselineMalformedError, read_baseline
from skerry_core.drift.columns import ColumnSource, Measure, Side, extract
from skerry_core.drift.limits import DriftLimits
from skerry_core.drift.sketch import Scale, sketch
from skerry_core.drift.watch import Watch, add, begin, step
from skerry_core.errors import WaitError
from skerry_core.features.columns import Floats
from skerry_core.features.definition import FeatureInput
from skerry_core.lineage.record import FeatureLineage
from skerry_edge.events.bodies import DriftChange
from skerry_edge.inference.activation.state import ModelKey
from skerry_edge.inference.drift.files import WatchFiles
from skerry_edge.inference.drift.record import change_of, report_of
from skerry_edge.inference.drift.sampler import MAX_SAMPLES, Sample, Sampler
from skerry_edge.inference.loader import Resident
from skerry_edge.inference.routing import Routes

TURN_SECONDS = 1.0
# Of one core, for all models together.
CPU_SHARE = 0.01
_SAVE_EVERY = timedelta(minutes=1)
_RETRY = timedelta(seconds=30)
# Before anything was measured.
_FIRST_COST = 0.001

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Watched:
    """One model's champion under watch; `cost` is the CPU time that one sample of it takes, in seconds."""

    key: ModelKey
    version: str
    features: tuple[FeatureInput, ...]
    baseline: Baseline
    watch: Watch
    cost: float = _FIRST_COST
    saved: datetime | None = None
    saved_rows: int = 0


class DriftWatcher:
    """Owns every model's watch; others read `watched` and `report`."""

    def __init__(
        self,
        *,
        routes: Routes,
        sampler: Sampler,
        limits: Callable[[ModelKey], DriftLimits],
        blob: Callable[[str, int], bytes],
        files: WatchFiles,
        changed: Callable[[DriftChange], None],
        now: Callable[[], datetime],
    ) -> None:
        """`blob` gives verified bytes by digest and greatest size; `changed` hears of what began or ceased to drift."""
        self._routes = routes
        self._sampler = sampler
        self._limits = limits
        self._blob = blob
        self._files = files
        self._changed = changed
        self._now = now
        self._unusable: dict[str, datetime | None] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="drift", daemon=True)
        self.watched: Mapping[ModelKey, Watched] = {}
        self.cpu_seconds = 0.0

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def stop(self) -> None:
        """End, and keep what was seen."""
        self._stopping.set()
        self._thread.join(timeout=5)
        if not self._thread.is_alive():
            for each in self.watched.values():
                self._files.write(each.key, each.watch)

    def report(self, key: ModelKey) -> DriftReport | None:
        """What the node says of a model's drift; None if it isn't watched."""
        watched = self.watched.get(key)
        return None if watched is None else report_of(watched.watch)

    def _run(self) -> None:
        while not self._stopping.wait(TURN_SECONDS):
            try:
                self.turn()
            except Exception:  # noqa: BLE001 - a bug here costs what it tells, never the serving
                _log.exception("drift was not looked at")

    def turn(self) -> None:
        """Take up new champions, add what was sampled, judge windows that are complete."""
        began, now = time.thread_time(), self._now()
        samples: defaultdict[str, list[Sample]] = defaultdict(list)
        for sample in self._sampler.drain():
            samples[sample.digest].append(sample)
        found = {}
        for route in self._routes.all():
            watched = None if route.champion is None else self._taken_up(route.key, route.champion, now)
            if watched is not None:
                found[route.key] = self._looked_at(watched, samples[watched.watch.digest], now)
        for key in self.watched.keys() - {route.key for route in self._routes.all()}:
            self._files.remove(key)
        self.watched = found
        self._sampler.pace({each.watch.digest: interval(each.cost, len(found)) for each in found.values()})
        self.cpu_seconds += time.thread_time() - began

    def _taken_up(self, key: ModelKey, champion: Resident, now: datetime) -> Watched | None:
        """The watch of this champion: the one that runs, the one that was kept, or a new one."""
        digest = champion.release.digest
        watched = self.watched.get(key)
        if watched is not None and watched.watch.digest == digest:
            return watched
        baseline = self._baseline(champion, now)
        if baseline is None:
            return None
        kept = self._files.read(key)
        if kept is None or kept.digest != digest or len(kept.sketches) != len(baseline.columns):
            kept = begin(digest, baseline, now)
        return Watched(key, champion.release.version, champion.manifest.features, baseline, kept)

    def _baseline(self, champion: Resident, now: datetime) -> Baseline | None:
        """What the signed manifest names; None if it names none, it isn't here yet, or it is no baseline."""
        manifest, digest = champion.manifest, champion.release.digest
        if manifest.drift_baseline is None:
            return None
        if digest in self._unusable:
            again = self._unusable[digest]
            if again is None or now < again:
                return None
        try:
            entry = _entry(manifest)
            return read_baseline(self._blob(entry.digest, min(entry.size, MAX_BASELINE_BYTES)))
        except WaitError as error:
            self._unusable[digest] = now + _RETRY
            _log.warning("drift baseline isn't here", digest=digest, reason=error.reason, message=str(error))
        except BaselineMalformedError as error:
            self._unusable[digest] = None
            _log.error("drift baseline is malformed", digest=digest, message=str(error))
        return None

    def _looked_at(self, watched: Watched, samples: Sequence[Sample], now: datetime) -> Watched:
        watch, cost = watched.watch, watched.cost
        if samples:
            began = time.thread_time()
            watch = add(watch, watched.baseline, sketch(_scales(watched.baseline), columns_of(watched, samples)))
            cost = (time.thread_time() - began) / len(samples)
        judged = step(watch, watched.baseline, self._limits(watched.key), now)
        change = change_of(watched.key, watched.version, watch, judged)
        if change is not None:
            _log.info("drift", model=str(watched.key), state=change.state, columns=change.columns, psi=change.psi)
            self._changed(change)
        saved, rows = watched.saved, watched.saved_rows
        overdue = saved is None or not timedelta() <= now - saved < _SAVE_EVERY
        if judged.judged != watch.judged or (overdue and judged.rows != rows):
            self._files.write(watched.key, judged)
            saved, rows = now, judged.rows
        return Watched(watched.key, watched.version, watched.features, watched.baseline, judged, cost, saved, rows)


def _entry(manifest: Manifest) -> FileEntry:
    for file in manifest.files:
        if file.path == manifest.drift_baseline:
            return file
    raise BaselineMalformedError("the manifest's drift baseline is none of its files")


def interval(cost: float, models: int) -> float:
    """Seconds between two samples of a model, so that all together cost CPU_SHARE of a core and none is in vain."""
    return max(cost * models / CPU_SHARE, TURN_SECONDS * models / MAX_SAMPLES)


def columns_of(watched: Watched, samples: Sequence[Sample]) -> list[Floats]:
    """All samples' numbers, column by column; NaN where a feature gave its default for want of a value."""
    sources = watched.baseline.sources
    parts = []
    for sample in samples:
        columns = extract(sources, sample.inputs, sample.outputs)
        for place in _defaulted(sources, watched.features, sample.lineage):
            columns[place] = np.full_like(columns[place], np.nan)
        parts.append(columns)
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _defaulted(
    sources: Sequence[ColumnSource], features: Sequence[FeatureInput], lineage: Sequence[FeatureLineage]
) -> list[int]:
    """Columns of features that gave their defaults, where an input's elements are its features, one for one."""
    stale = {each.input: each.stale for each in lineage if each.stale}
    if not stale:
        return []
    order = {binding.input: binding.features for binding in features}
    widths: defaultdict[str, int] = defaultdict(int)
    for source in sources:
        widths[source.tensor] += source.side is Side.INPUT and source.measure is Measure.ELEMENT
    return [
        place
        for place, source in enumerate(sources)
        if source.side is Side.INPUT
        and source.tensor in stale
        and len(order.get(source.tensor, ())) == widths[source.tensor]
        and order[source.tensor][source.element] in stale[source.tensor]
    ]


def _scales(baseline: Baseline) -> list[Scale]:
    return [column.scale for column in baseline.columns]
