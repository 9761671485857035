"""Takes over snapshots of other nodes, once sync has fetched them."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import structlog

from skerry_core import digest as digests
from skerry_edge.events.follow import Place
from skerry_edge.features.adoption import adopting, foreign, merging, unfit
from skerry_edge.features.clock import Clock
from skerry_edge.features.course import Course
from skerry_edge.features.note import VersionNote
from skerry_edge.features.ports import Store, StoreDamagedError, Withdrawals
from skerry_edge.features.snapshots import Snapshot

SEEK_SECONDS = 900.0
"""For so long a new version seeks a snapshot, anew after a restart; then its own events have to do."""

_log = structlog.get_logger(__name__)


class Adopter:
    """Used by one thread. Of the folder, which is sync's, it only reads."""

    def __init__(
        self,
        store: Store,
        folder: Path | None,
        clock: Clock,
        withdrawals: Withdrawals,
        tell: Callable[[Mapping[str, int]], None],
    ) -> None:
        """`tell` makes known what is sought, and may raise OSError."""
        self._store = store
        self._folder = folder
        self._clock = clock
        self._withdrawals = withdrawals
        self._tell = tell
        self._until: dict[str, float] = {}
        self._refused: set[str] = set()
        self._told: Mapping[str, int] | None = None

    def look(self, courses: Iterable[Course], now: float) -> list[tuple[Course, Snapshot]]:
        """What may be taken over now; tell what is sought, and give up what was for too long (`now` is steady)."""
        found, sought = [], {}
        for course in courses:
            if not course.seeks:
                continue
            digest = course.version.digest
            if now >= self._until.setdefault(digest, now + SEEK_SECONDS):
                course.give_up()
                continue
            sought[digest] = course.begun
            found += [(course, snapshot) for snapshot in self._fetched(digest)[:1]]
        self._tell_sought(sought)
        return found

    def adopt(self, course: Course, snapshot: Snapshot, note: VersionNote) -> VersionNote | None:
        """Add a snapshot to what the store keeps of a version, with `note`; the note afterwards, None if it can't be.

        Raises StoreDamagedError.
        """
        name = snapshot.path.name
        try:
            after = self._added(course, snapshot, note)
        except StoreDamagedError:
            raise
        except OSError as error:
            _log.warning("another node's snapshot of features can't be taken over now", file=name, error=str(error))
            return None
        except Exception as error:  # noqa: BLE001 - whatever another node's bytes do must not stop this one
            self._refused.add(name)
            _log.warning("another node's snapshot of features not taken over", file=name, error=str(error)[:200])
            return None
        _log.info("another node's snapshot of features taken over", file=name, adopted=after.adopted)
        return after

    def _added(self, course: Course, snapshot: Snapshot, note: VersionNote) -> VersionNote:
        digest, engine, now = course.version.digest, course.version.engine, self._clock.read().wall
        snapshot.verify(note.document)
        found = snapshot.note()
        # All that this node ever heard of: what was withdrawn since the snapshot was made may have come before it.
        _, _, withdrawn = self._withdrawals(engine.document.stream, "", Place())
        why = unfit(found, note.document, course.begun, course.epochs, now)
        if not why and withdrawn and not engine.by_subject:
            why = "consent was withdrawn, and it doesn't tell whose events it holds"
        if why:
            raise ValueError(why)
        after = adopting(note, found, f"sha256:{snapshot.path.name.partition('.')[2]}")
        entities = lambda: foreign(engine, snapshot.entities(), withdrawn)  # noqa: E731
        self._store.load(digest, after, entities, merging(engine, now))
        return after

    def _fetched(self, digest: str) -> list[Snapshot]:
        if self._folder is None:
            return []
        try:
            paths = sorted(self._folder.glob(f"{digests.hex_of(digest)}.*"))
        except OSError:
            return []
        return [Snapshot(path, 0.0) for path in paths if path.name not in self._refused]

    def _tell_sought(self, sought: Mapping[str, int]) -> None:
        if sought == self._told:
            return
        try:
            self._tell(sought)
        except OSError as error:
            _log.warning("which snapshots would help can't be noted", error=str(error)[:200])
        else:
            self._told = sought
