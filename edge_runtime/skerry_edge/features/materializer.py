"""Keeps the versions that releases need up to date from the event logs; the thread is in `follower`.

Nothing here keeps the process from serving models: whatever is broken, reads say honestly what isn't there.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import structlog

from skerry_core import digest as digests
from skerry_core.errors import SkerryError, UserMustActError
from skerry_edge.events.follow import Place
from skerry_edge.features.adopter import Adopter
from skerry_edge.features.clock import Clock
from skerry_edge.features.course import Course
from skerry_edge.features.feed import Feed
from skerry_edge.features.letters import LetterBox
from skerry_edge.features.needed import Needed, joined
from skerry_edge.features.needs import Needs, plan
from skerry_edge.features.note import EntityRecord, VersionNote
from skerry_edge.features.ports import Engine, Store, StoreDamagedError, StoreFullError, Withdrawals
from skerry_edge.features.snapshots import Snapshots
from skerry_edge.features.snapshotter import Snapshotter
from skerry_edge.features.version import Version

COMMIT_SECONDS = 1.0
# Entities that wait for a commit, at which one is made early.
MAX_DIRTY = 5000
# Between two snapshots, of versions that moved on; the first so long after the start.
SNAPSHOT_SECONDS = 3600.0
FIRST_SNAPSHOT_SECONDS = 300.0
# A version that a bug has stopped is tried again so late: what it met may have passed.
AGAIN_SECONDS = 900.0
# Between looks at what is needed.
_LOOK_SECONDS = 1.0
# Between two times that the store is written anew to be rid of what was withdrawn.
SCRUB_SECONDS = 600.0
# Between two words on what of the logs must stay, unless that is more than before.
TELL_SECONDS = 5.0

_log = structlog.get_logger(__name__)


class Standing(StrEnum):
    """Of a version: the engine can't compute it, it isn't here, it goes no further, it has yet to catch up, it has.

    Or no event will ever count in it, in one of the two ways of `skerry_core.features.fed`.
    """

    REFUSED = "FeatureSetRefused"
    NOT_READY = "FeaturesNotReady"
    STREAM_NOT_DECLARED = "StreamNotDeclared"
    DEVICE_PATH_MISSING = "DevicePathMissing"
    FAILED = "FeaturesFailed"
    WARMING = "FeaturesWarming"
    WARM = "Warm"


@dataclass(frozen=True)
class Sources:
    """Where the materializer gets things: `compiled` makes an engine of a document's bytes, `document` finds those.

    Both raise SkerryError. `logs` has the streams' folders; `boot` is the hash of this boot; `withdrawals` says whose
    events were redacted. `neighbours` is where sync puts other nodes' snapshots, and `node` this one's name.
    """

    logs: Path
    boot: int
    needs: Callable[[], Needs]
    document: Callable[[str], bytes]
    compiled: Callable[[bytes], Engine]
    withdrawals: Withdrawals = lambda _, data_class, done: (data_class, done, frozenset())
    node: str = ""
    neighbours: Path | None = None


class Materializer:
    """Used by one thread, but for what says otherwise."""

    def __init__(
        self,
        store: Store,
        sources: Sources,
        box: LetterBox | None,
        clock: Clock,
        steady: Callable[[], float] = time.monotonic,
        *,
        snapshots: Snapshots,
        tell: Callable[[Mapping[str, Needed]], None] = lambda _: None,
        tell_sought: Callable[[Mapping[str, int]], None] = lambda _: None,
    ) -> None:
        """Take up what is kept. Raises OSError, StoreDamagedError.

        `tell` makes known what of the logs must stay, `tell_sought` which versions another node's snapshot would help.
        """
        self._store = store
        self._sources = sources
        self._box = box
        self._clock = clock
        self._steady = steady
        self._courses: dict[str, Course] = {}
        self._unneeded: Mapping[str, float] = {}
        self._refusals: dict[str, tuple[Standing, str]] = {}
        self._due = self._look_at = self._tell_at = steady()
        self._tell = tell
        # What a process before this one purged may still be in the file.
        self._scrub_at = steady()
        self._again: dict[str, float] = {}
        self._snapshotter = Snapshotter(store, snapshots, sources.node)
        self._adopter = Adopter(store, sources.neighbours, clock, sources.withdrawals, tell_sought)
        self._snapshot_at = self._due + FIRST_SNAPSHOT_SECONDS
        self._told: tuple[frozenset[str], Mapping[str, Needed]] | None = None
        for digest, note in store.notes().items():
            self._snapshotter.know(digest)
            self._take_up(digest, note.document, note)
        store.checked()

    # By any thread

    def find(self, digest: str) -> Version | None:
        """A version that is computed here."""
        course = self._courses.get(digest)
        return None if course is None else course.version

    def standing(self, digest: str) -> tuple[Standing, str]:
        """Where a version is, and what keeps it."""
        course = self._courses.get(digest)
        if course is None:
            return self._refusals.get(digest, (Standing.NOT_READY, "it isn't computed here yet"))
        if course.failure:
            return Standing.FAILED, course.failure
        if not course.warm:
            return Standing.WARMING, f"{course.behind} records of {course.version.engine.document.stream} to go"
        return Standing.WARM, ""

    def course(self, digest: str) -> Course | None:
        """That of a version, if it is computed here."""
        return self._courses.get(digest)

    def courses(self) -> Iterable[Course]:
        """Every version's."""
        return tuple(self._courses.values())

    @property
    def store_size(self) -> int:
        """Bytes on disk. Raises OSError."""
        return self._store.size()

    # By the one thread

    def step(self) -> bool:
        """Look at what is needed, apply, commit if it is time; whether there may be more to do right now.

        Raises OSError, StoreDamagedError, StoreFullError.
        """
        now = self._steady()
        if now >= self._look_at:
            self._look_at = now + _LOOK_SECONDS
            self._look(now)
            self._withdraw(now)
            self._adopt(now)
        more = False
        # Those that follow first: a new version that catches up makes nobody's values old.
        for course in sorted(self._courses.values(), key=lambda course: not course.warm):
            more = self._step(course, now) or more
        dirty = sum(course.version.dirty for course in self._courses.values())
        if now >= self._due or dirty >= MAX_DIRTY:
            self.commit()
            self._due = self._steady() + COMMIT_SECONDS
            self._tell_needed(now)
            self._snapshot(now)
        return more

    def _step(self, course: Course, now: float) -> bool:
        """A bug that raises stops the one version that met it."""
        digest = course.version.digest
        if course.failure:
            if now >= self._again.get(digest, now):
                self._anew(digest)
            return False
        try:
            return course.step()
        except (OSError, SkerryError):
            raise
        except Exception as error:  # noqa: BLE001 - a bug that one version meets must not stop the others
            _log.exception("a version of a feature set goes no further", digest=digest)
            self._again[digest] = now + AGAIN_SECONDS
            self._anew(digest, failure=f"{type(error).__name__}: {error}"[:300])
            return False

    def _anew(self, digest: str, failure: str = "") -> None:
        """Go back to the last commit: the states in memory may be half changed. It is served as it is there."""
        note = self._store.notes().get(digest)
        self._replace(digest, self._sources.document(digest) if note is None else note.document, note)
        self._courses[digest].failure = failure

    def _replace(self, digest: str, document: bytes, note: VersionNote | None) -> None:
        counts = self._courses[digest].version.counts
        self._take_up(digest, document, note)
        self._courses[digest].version.counts = counts

    def commit(self) -> None:
        """Make durable what was applied, and write the dead letters that came of it. Raises as `step` does."""
        courses = [course for course in self._courses.values() if course.changed]
        if not courses:
            return
        end = Place() if self._box is None else self._box.end()
        self._store.commit([course.change(end) for course in courses])
        for course in courses:
            course.committed()
            if self._box is not None:
                course.version.counts.letters_lost += self._box.deliver(course.letters)

    def stop(self) -> None:
        """End what goes on beside."""
        self._snapshotter.stop()

    def close(self) -> None:
        """Commit what can be, and end."""
        self.stop()
        try:
            self.commit()
        except (OSError, SkerryError) as error:
            _log.warning("features not committed, they are computed again", error=str(error))
        self._store.close()

    def _snapshot(self, now: float) -> None:
        """Called when all is committed, so that nothing that was withdrawn is still in the store."""
        if now < self._snapshot_at or self._snapshotter.busy:
            return
        self._snapshot_at = now + SNAPSHOT_SECONDS
        followed = [course.version.digest for course in self._courses.values() if course.warm and not course.failure]
        self._snapshotter.start(followed, time.time())

    def _tell_needed(self, now: float) -> None:
        for digest, course in self._courses.items():
            course.saved = self._snapshotter.saved.get(digest)
        told = (
            frozenset(self._courses),
            joined((course.version.engine.document.stream, course.needed) for course in self._courses.values()),
        )
        if told == self._told or (self._told is not None and told[0] == self._told[0] and now < self._tell_at):
            return
        try:
            self._tell(told[1])
        except OSError as error:
            _log.warning("what features have yet to read can't be noted", error=str(error))
        else:
            self._told, self._tell_at = told, now + TELL_SECONDS

    def _withdraw(self, now: float) -> None:
        """Forget whose consent was withdrawn, on the disk as well."""
        try:
            gone = [course for course in self._courses.values() if course.withdraw(self._sources.withdrawals)]
        except OSError as error:
            _log.warning("withdrawals of consent can't be followed now", error=str(error))
            return
        if gone:
            self._store.note_purge()
            self._told = None
            # Of a version that isn't computed here now nobody could tell what to take out.
            keep = self._courses.keys() - {course.version.digest for course in gone}
            self._snapshotter.forget(tuple(keep))
        if not self._store.purge_noted or now < self._scrub_at:
            return
        self._scrub_at = now + SCRUB_SECONDS
        try:
            self.commit()
            self._store.scrub()
        except (OSError, StoreFullError) as error:
            _log.warning("what was withdrawn can't be wiped from the disk yet", error=str(error))

    def _adopt(self, now: float) -> None:
        """Take over other nodes' snapshots that were fetched, into what was committed."""
        for course, snapshot in self._adopter.look(self._courses.values(), now):
            self.commit()
            digest = course.version.digest
            note = self._store.notes().get(digest)
            after = None if note is None else self._adopter.adopt(course, snapshot, note)
            if after is not None:
                self._snapshotter.outdate(digest)
                self._replace(digest, after.document, after)

    def _look(self, now: float) -> None:
        found = plan(self._courses, self._sources.needs(), self._unneeded, now)
        self._unneeded = found.unneeded
        for digest in found.drop:
            _log.info("feature set dropped", digest=digest)
            self._store.drop(digest)
            self._courses = {other: course for other, course in self._courses.items() if other != digest}
            self._again.pop(digest, None)
        for digest in found.begin:
            try:
                document = self._sources.document(digest)
            except SkerryError as error:
                self._refusals = {**self._refusals, digest: _refusal(error)}
                continue
            self._take_up(digest, document)
        self._refusals = {digest: why for digest, why in self._refusals.items() if digest in found.begin}

    def _take_up(self, digest: str, document: bytes, note: VersionNote | None = None) -> None:
        """With what the store keeps of it, its `note` included; if that is nothing, from a snapshot or the logs."""
        if digests.of_bytes(document) != digest:
            raise StoreDamagedError(f"the document kept as {digest} is another one")
        try:
            engine = self._sources.compiled(document)
        except SkerryError as error:
            if digest not in self._refusals:
                _log.warning("feature set not taken up", digest=digest, reason=error.reason, message=str(error)[:300])
            self._refusals = {**self._refusals, digest: _refusal(error)}
            return
        feed, fresh = Feed(self._sources.logs / engine.document.stream), False
        if note is None:
            note = self._snapshotter.restore(digest, document)
        if note is None:
            now, fresh = self._clock.read().wall, True
            note = VersionNote(document, begun=now, seeks=feed.is_young(now))
        kept = sorted((record.received, key, record.size) for key, record in self._store.entities(digest))
        version = Version(
            digest,
            engine,
            clock=self._clock,
            boot=self._sources.boot,
            get=self._getter(digest),
            kept={key: size for _, key, size in kept},
            adopted=note.adopted,
        )
        version.resume(note.position, kept[-1][0] if kept else 0)
        course = Course(version, feed, note, self._clock, fresh=fresh)
        if self._box is not None:
            version.counts.letters_lost += self._box.deliver(self._box.missing(note.letters, note.letters_since))
        self._courses = {**self._courses, digest: course}
        _log.info("feature set taken up", digest=digest, entities=version.entities, warm=note.warm)

    def _getter(self, digest: str) -> Callable[[bytes], EntityRecord | None]:
        return lambda key: self._store.get(digest, key)


def _refusal(error: SkerryError) -> tuple[Standing, str]:
    standing = Standing.REFUSED if isinstance(error, UserMustActError) else Standing.NOT_READY
    return standing, f"{error.reason}: {error}"
