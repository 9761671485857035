"""The feature store of a node: a thread that follows the logs, and what requests ask of it."""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog

from skerry_core.errors import SkerryError
from skerry_core.features.definition import FeatureSetDocument
from skerry_edge.events.follow import Place
from skerry_edge.features.catch_up import CATCH_UP_SECONDS, CatchUp
from skerry_edge.features.clock import Clock
from skerry_edge.features.course import Course
from skerry_edge.features.feeding import Feeding, Trouble
from skerry_edge.features.letters import LetterBox
from skerry_edge.features.materializer import Materializer, Sources, Standing
from skerry_edge.features.needed import write_needed
from skerry_edge.features.ports import Engine, Store, StoreDamagedError
from skerry_edge.features.probe import open_probed
from skerry_edge.features.snapshots import FOLDER, Snapshots
from skerry_edge.features.sought import write_sought
from skerry_edge.features.store import put_aside
from skerry_edge.features.version import EntityReading, Version

# Between looks at logs that had nothing new.
POLL_SECONDS = 0.05
_AGAIN_SECONDS = 5.0
# Between looks at whether events come in at all.
_FEEDING_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Features:
    """Nothing of it can keep the process from serving models: until it is there, nothing is found."""

    def __init__(
        self,
        folder: Path,
        sources: Sources,
        box: Callable[[], LetterBox | None],
        clock: Clock | None = None,
        open_store: Callable[[Path], Store] = open_probed,
        feeding: Feeding | None = None,
        catch_up_seconds: float = CATCH_UP_SECONDS,
    ) -> None:
        """`folder` is the store's own; `box` makes what writes dead letters, or None if there can't be one.

        `feeding` tells of versions that no event will count in; without it events can count in all.
        """
        self._folder = folder
        self._sources = sources
        self._box = box
        self._clock = clock or Clock()
        self._open_store = open_store
        self._feeding = feeding
        self._materializer: Materializer | None = None
        self._damaged = threading.Event()
        self._stopping = threading.Event()
        # Ends the pause between looks at the logs.
        self._wake = threading.Event()
        self._catch_up = CatchUp(self._wake.set, catch_up_seconds)
        self._thread = threading.Thread(target=self._run, name="features", daemon=True)
        # Engines of versions that requests asked for before they were computed.
        self._known: dict[str, Engine] = {}
        self.rebuilt = 0

    def start(self) -> None:
        """Begin to follow."""
        self._thread.start()

    def stop(self) -> None:
        """Commit what was applied, and end."""
        self._stopping.set()
        self._wake.set()
        self._catch_up.moved()
        if self._thread.is_alive():
            self._thread.join()

    # By any thread

    def find(self, digest: str) -> Version | None:
        """A version that is computed here."""
        materializer = self._materializer
        return None if materializer is None else materializer.find(digest)

    def document(self, digest: str) -> FeatureSetDocument | None:
        """What a version says; None if it isn't known here, or not understood."""
        engine = self._engine(digest)
        return None if engine is None else engine.document

    def read(self, digest: str, entity: Sequence[str]) -> EntityReading | None:
        """An entity's features by a version; None if that isn't known here.

        Until the version is computed, nothing is found of any entity. ValueError for parts that are no key.
        """
        version = self.find(digest)
        if version is not None:
            try:
                return version.read(entity)
            except StoreDamagedError:
                # The thread puts the store aside, if it hasn't yet; meanwhile nothing is known of the entity.
                if self.find(digest) is version:
                    self._damaged.set()
        engine = self._engine(digest)
        if engine is None:
            return None
        engine.key(entity)
        now = self._clock.read().wall
        return EntityReading(engine, engine.read(None, now), now, Place())

    def catch_up(self, digest: str) -> None:
        """Have a version's events applied that are durable by now; at most for CATCH_UP_SECONDS.

        Returns at once if nothing is left to apply, or nobody applies it. Blocks: not for an event loop.
        """
        materializer = self._materializer
        course = None if materializer is None else materializer.course(digest)
        try:
            end = None if course is None else course.log_end()
        except OSError:
            # The thread meets it as well, and says so.
            return
        if end is not None and not self._has_applied(digest, end):
            self._catch_up.wait(digest, end, lambda place: self._has_applied(digest, place))

    def _has_applied(self, digest: str, end: Place) -> bool:
        """Whether a version is there, or nobody brings it there."""
        materializer = self._materializer
        # Asked for each time: another course may have taken its place.
        course = None if materializer is None else materializer.course(digest)
        return self._stopping.is_set() or course is None or bool(course.failure) or course.has_applied(end)

    def _engine(self, digest: str) -> Engine | None:
        version = self.find(digest)
        if version is not None:
            return version.engine
        engine = self._known.get(digest)
        if engine is None:
            try:
                engine = self._sources.compiled(self._sources.document(digest))
            except SkerryError:
                return None
            self._known[digest] = engine
        return engine

    def standing(self, digest: str) -> tuple[Standing, str]:
        """Where a version is, and what keeps it."""
        materializer = self._materializer
        if materializer is None:
            return Standing.NOT_READY, "the feature store is just being opened"
        standing, why = materializer.standing(digest)
        version = materializer.find(digest)
        if version is None or standing is Standing.FAILED:
            return standing, why
        trouble = self.unfed(version.engine.document)
        return (standing, why) if trouble is None else (Standing(trouble[0]), trouble[1])

    def warm(self) -> frozenset[str]:
        """Digests of the versions that have caught up, and that events can count in."""
        return frozenset(
            course.version.digest
            for course in self.courses()
            if course.warm and not course.failure and self.unfed(course.version.engine.document) is None
        )

    def unfed(self, document: FeatureSetDocument) -> Trouble | None:
        """Why no event will count in a version, and what to do; None if events can."""
        return None if self._feeding is None else self._feeding.of(document)

    def courses(self) -> Iterable[Course]:
        """Every version's."""
        materializer = self._materializer
        return () if materializer is None else materializer.courses()

    def store_size(self) -> int:
        """Bytes on disk, 0 before it is open."""
        materializer = self._materializer
        try:
            return 0 if materializer is None else materializer.store_size
        except OSError:
            return 0

    # The thread

    def _run(self) -> None:
        while not self._stopping.is_set():
            store: Store | None = None
            try:
                store = self._open_store(self._folder)
                self._materializer = Materializer(
                    store,
                    self._sources,
                    self._box(),
                    self._clock,
                    snapshots=Snapshots(self._folder / FOLDER),
                    tell=lambda streams: write_needed(self._folder, streams),
                    tell_sought=lambda versions: write_sought(self._folder, versions),
                )
                self._follow(self._materializer)
            except StoreDamagedError as error:
                _log.error(
                    "feature store put aside, it is built again from the logs", reason=error.reason, error=str(error)
                )
                self._set_aside(store)
            except Exception as error:  # noqa: BLE001 - a bug here must not end features for good
                _log.exception("features can't be followed", error=str(error)[:300])
                self._close(store)
                self._stopping.wait(_AGAIN_SECONDS)

    def _follow(self, materializer: Materializer) -> None:
        """Until the process stops. Raises StoreDamagedError."""
        look_at = time.monotonic()
        while not self._stopping.is_set():
            if self._damaged.is_set():
                raise StoreDamagedError("a request found what can't be read")
            if self._feeding is not None and time.monotonic() >= look_at:
                look_at = time.monotonic() + _FEEDING_SECONDS
                self._feeding.look(course.version.engine.document for course in materializer.courses())
            try:
                more = materializer.step()
            except StoreDamagedError:
                raise
            except (OSError, SkerryError) as error:
                _log.warning("features fall behind", error=str(error))
                self._stopping.wait(_AGAIN_SECONDS)
                continue
            self._catch_up.moved()
            if not more:
                self._wake.wait(POLL_SECONDS)
            self._wake.clear()
        materializer.close()

    def _set_aside(self, store: Store | None) -> None:
        self._close(store)
        self._damaged.clear()
        if self.rebuilt:
            # A disk that damages one store after the other must not keep the node busy with rebuilding.
            self._stopping.wait(_AGAIN_SECONDS)
        self.rebuilt += 1
        try:
            put_aside(self._folder)
        except OSError as error:
            _log.warning("feature store can't be put aside", error=str(error))
            self._stopping.wait(_AGAIN_SECONDS)

    def _close(self, store: Store | None) -> None:
        if self._materializer is not None:
            self._materializer.stop()
        self._materializer = None
        self._catch_up.moved()
        if store is not None:
            store.close()
