"""Makes snapshots while the store is written to, in a thread of its own, and restores from them."""

import threading
from collections.abc import Mapping, Sequence

import structlog

from skerry_core.errors import SkerryError
from skerry_edge.features.note import VersionNote
from skerry_edge.features.ports import Store
from skerry_edge.features.snapshots import Entities, Snapshots

_log = structlog.get_logger(__name__)


class _StoppedError(Exception):
    pass


class Snapshotter:
    """Used by one thread, but for `saved`. One run at a time."""

    def __init__(self, store: Store, snapshots: Snapshots, node: str = "") -> None:
        """`node` is who makes them, to whoever takes one over."""
        self._store = store
        self._node = node
        self._snapshots = snapshots
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()
        self.saved: Mapping[str, Mapping[str, int]] = {}
        """By version, the log position of the newest snapshot."""

    @property
    def busy(self) -> bool:
        """Whether a run isn't over."""
        return self._thread is not None and self._thread.is_alive()

    def know(self, digest: str) -> None:
        """Look for what was saved of a version before."""
        try:
            for snapshot in self._snapshots.of(digest)[:1]:
                self.saved = {**self.saved, digest: snapshot.note().position}
        except (OSError, ValueError) as error:
            _log.warning("snapshots of features can't be looked at", error=str(error)[:200])

    def start(self, versions: Sequence[str], now: float) -> None:
        """Let those expire that are too old at `now` (seconds since 1970), and make new ones of these versions."""
        self._thread = threading.Thread(
            target=self._run, args=(versions, now, self._snapshots.forgotten), name="snapshots", daemon=True
        )
        self._thread.start()

    def forget(self, keep: Sequence[str]) -> None:
        """Remove all, but those of the versions to `keep`; what is being made won't be kept. Raises OSError."""
        self._snapshots.forget(keep)
        self.saved = {digest: position for digest, position in self.saved.items() if digest in keep}

    def outdate(self, digest: str) -> None:
        """The states of a version are others now, though its position is the same."""
        self.saved = {other: position for other, position in self.saved.items() if other != digest}

    def stop(self) -> None:
        """End a run."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def restore(self, digest: str, document: bytes) -> VersionNote | None:
        """Load the newest sound snapshot of a version into the store; its note. Raises OSError, and as Store.load."""
        for snapshot in self._snapshots.of(digest):
            try:
                snapshot.verify(document)
                noted = snapshot.note()
                # It has yet to catch up with what came since.
                note = VersionNote(
                    document,
                    noted.position,
                    data_class=noted.data_class,
                    withdrawn=noted.withdrawn,
                    begun=noted.begun,
                    adopted=noted.adopted,
                )
                self._store.load(digest, note, snapshot.entities)
            except ValueError as error:
                self._snapshots.discard(snapshot, str(error))
            else:
                self.saved = {**self.saved, digest: noted.position}
                _log.info("features restored from a snapshot", digest=digest)
                return note
        return None

    def _run(self, versions: Sequence[str], now: float, forgotten: int) -> None:
        try:
            self._snapshots.expire(now)
            if not self._snapshots.have_room():
                return
            for digest in versions:
                with self._store.at_rest(digest) as (note, entities):
                    kept = VersionNote(
                        note.document,
                        note.position,
                        warm=note.warm,
                        data_class=note.data_class,
                        withdrawn=note.withdrawn,
                        begun=note.begun,
                        adopted=note.adopted,
                        made_by=self._node,
                        made=int(now * 1e6),
                    )
                    if kept.position == self.saved.get(digest):
                        continue
                    written = self._snapshots.write(digest, kept, self._until_stopped(entities), forgotten)
                if written:
                    self.saved = {**self.saved, digest: kept.position}
        except _StoppedError:
            return
        except (OSError, SkerryError, KeyError) as error:
            _log.warning("snapshot of features not made", error=str(error)[:300])

    def _until_stopped(self, entities: Entities) -> Entities:
        for entity in entities:
            if self._stopping.is_set():
                raise _StoppedError
            yield entity
