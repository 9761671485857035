"""Versions of sets in LMDB: one environment, and a database for each version beside one for the notes.

A commit is one transaction with LMDB's own syncs (data, then the meta page), so that after a kill or a power cut the
file holds the state of some commit, whole, with the position that belongs to it. Commits are batched by the caller.
Source: Chu, "LMDB" (http://www.lmdb.tech/doc/group__mdb.html); MDB_NOSYNC would let the meta page overtake its data.

LMDB reads through a memory map and believes its file: a damaged one may end the process. So whoever opens it leaves a
note of that until all of it was read once; if the process died meanwhile, the file is checked by code that only reads
bytes before it is opened again. What isn't sound is put aside, one of them kept for whoever wants to look.
"""

import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import lmdb
import structlog
from lmdb import verify

from skerry_core import digest as digests
from skerry_core.durable import fsync_directory, remove_file, write_file
from skerry_edge.features.note import (
    EntityRecord,
    VersionNote,
    decode_entity,
    decode_note,
    encode_entity,
    encode_note,
    fit,
)
from skerry_edge.features.ports import Change, StoreDamagedError, StoreFullError

FIRST_MAP = 64 << 20
MAX_MAP = 8 << 30
MAX_VERSIONS = 256

NOTES = b"notes"
# Of a meta page in LMDB 0.9: 16 bytes of page header and struct MDB_meta, with two MDB_db from byte 40 on.
_META, _PAGE_SIZE_AT, _LAST_PAGE_AT = 152, 40, 136
_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)

_log = structlog.get_logger(__name__)


class LmdbStore:
    """One process opens a folder. One thread commits, drops and closes; any may get."""

    def __init__(self, folder: Path, *, first_map: int = FIRST_MAP, max_map: int = MAX_MAP) -> None:
        """Open or create; the map, which is address space and no memory, is doubled up to `max_map` bytes.

        Raises OSError, StoreDamagedError for what isn't sound (`put_aside` it then).
        """
        self._path = folder / "lmdb"
        # LMDB would give the folder the files' mode, by which nobody but root can enter it.
        self._path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._opening = folder / "opening"
        self._max_map = max_map
        # Held by readers and by whoever makes the map larger, which must not happen while one of them reads.
        self._reading = threading.Lock()
        # Held by whoever reads for long, by whoever makes the map larger, and by whoever closes it.
        self._resting = threading.Lock()
        died = self._opening.exists()
        self._opening.touch()
        if died and not was_begun(self._path):
            (self._path / "data.mdb").unlink(missing_ok=True)
        elif died or _is_short(self._path):
            _check(self._path)
        self._first_map = first_map
        self._purge = folder / "purge"
        self._open()

    def _open(self) -> None:
        file = self._path / "data.mdb"
        there = file.stat().st_size if file.is_file() else 0
        try:
            self._env = lmdb.open(
                str(self._path),
                map_size=min(max(self._first_map, 2 * there), max(self._max_map, there)),
                max_dbs=MAX_VERSIONS + 1,
                max_readers=126,
                mode=0o600,
                readahead=False,
            )
            self._env.reader_check()
            self._notes = self._env.open_db(NOTES)
            self._databases = {digest: self._env.open_db(_name(digest)) for digest in self._digests()}
        except lmdb.Error as error:
            _refuse(error)

    def checked(self) -> None:
        """All of it was read without harm."""
        self._opening.unlink(missing_ok=True)

    def notes(self) -> dict[str, VersionNote]:
        """See Store."""
        try:
            with self._env.begin(db=self._notes) as transaction:
                return {key.decode(): decode_note(value) for key, value in transaction.cursor()}
        except (lmdb.Error, ValueError) as error:
            _refuse(error)

    def entities(self, digest: str) -> Iterator[tuple[bytes, EntityRecord]]:
        """See Store."""
        database = self._databases.get(digest)
        if database is None:
            return
        try:
            with self._env.begin(db=database) as transaction:
                for key, value in transaction.cursor():
                    yield key, decode_entity(key, value)
        except (lmdb.Error, ValueError) as error:
            _refuse(error)

    def get(self, digest: str, key: bytes) -> EntityRecord | None:
        """See Store."""
        try:
            with self._reading:
                database = self._databases.get(digest)
                if database is None:
                    return None
                with self._env.begin(db=database) as transaction:
                    value = transaction.get(fit(key))
            return None if value is None else decode_entity(key, value)
        except (lmdb.Error, ValueError) as error:
            _refuse(error)

    @contextmanager
    def at_rest(self, digest: str) -> Iterator[tuple[VersionNote, Iterator[tuple[bytes, EntityRecord]]]]:
        """See Store."""
        with self._resting:
            database = self._databases[digest]
            try:
                with self._env.begin() as transaction:
                    note = decode_note(transaction.get(digest.encode(), db=self._notes) or b"")
                    cursor = transaction.cursor(db=database)
                    yield note, ((key, decode_entity(key, value)) for key, value in cursor)
            except (lmdb.Error, ValueError) as error:
                _refuse(error)

    def commit(self, changes: Sequence[Change]) -> None:
        """See Store."""
        self._write(lambda: self._commit(changes))

    def load(
        self,
        digest: str,
        note: VersionNote,
        entities: Callable[[], Iterator[tuple[bytes, EntityRecord]]],
        merged: Callable[[EntityRecord, EntityRecord], EntityRecord] | None = None,
    ) -> None:
        """See Store."""
        self._write(lambda: self._load(digest, note, entities(), merged))

    def _write(self, transaction: Callable[[], None]) -> None:
        while True:
            try:
                transaction()
            except lmdb.MapFullError as error:
                self._grow(error)
            except lmdb.Error as error:
                _refuse(error)
            else:
                return

    def _load(
        self,
        digest: str,
        note: VersionNote,
        entities: Iterator[tuple[bytes, EntityRecord]],
        merged: Callable[[EntityRecord, EntityRecord], EntityRecord] | None,
    ) -> None:
        with self._env.begin(write=True) as transaction:
            database = self._databases.get(digest)
            fresh = database or self._env.open_db(_name(digest), txn=transaction)
            if merged is None:
                transaction.drop(fresh, delete=False)
            for key, other in entities:
                kept = None if merged is None else transaction.get(fit(key), db=fresh)
                record = other if merged is None or kept is None else merged(_own(key, kept), other)
                transaction.put(fit(key), encode_entity(key, record), db=fresh)
            transaction.put(digest.encode(), encode_note(note), db=self._notes)
        self._databases = {**self._databases, digest: fresh}

    def drop(self, digest: str) -> None:
        """See Store."""
        database = self._databases.pop(digest, None)
        try:
            with self._env.begin(write=True) as transaction:
                transaction.delete(digest.encode(), db=self._notes)
                if database is not None:
                    transaction.drop(database, delete=True)
        except lmdb.Error as error:
            _refuse(error)

    def size(self) -> int:
        """See Store."""
        return (self._path / "data.mdb").stat().st_size

    def note_purge(self) -> None:
        """See Store."""
        write_file(self._purge, b"")

    @property
    def purge_noted(self) -> bool:
        """See Store."""
        return self._purge.exists()

    def scrub(self) -> None:
        """See Store: pages that are free keep their bytes, so what is left is copied to a file of its own."""
        fresh = self._path.with_name("lmdb.fresh")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        copy = fresh / "data.mdb"
        try:
            self._env.copy(str(fresh), compact=True)
        except lmdb.Error as error:
            shutil.rmtree(fresh, ignore_errors=True)
            _refuse(error)
        copy.chmod(0o600)
        with copy.open("rb") as file:
            os.fsync(file.fileno())
        with self._resting, self._reading:
            self._databases = {}
            self._env.close()
            try:
                copy.replace(self._path / "data.mdb")
                fsync_directory(self._path)
            finally:
                self._open()
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(self._path.with_name("lmdb.damaged"), ignore_errors=True)
        remove_file(self._purge)

    def close(self) -> None:
        """See Store; what comes afterwards is refused."""
        with self._resting, self._reading:
            self._databases = {}
            self._env.close()

    def _commit(self, changes: Sequence[Change]) -> None:
        made = {}
        with self._env.begin(write=True) as transaction:
            for change in changes:
                database = self._databases.get(change.digest)
                if database is None:
                    database = made[change.digest] = self._env.open_db(_name(change.digest), txn=transaction)
                for key, record in change.entities.items():
                    if record is None:
                        transaction.delete(fit(key), db=database)
                    else:
                        transaction.put(fit(key), encode_entity(key, record), db=database)
                transaction.put(change.digest.encode(), encode_note(change.note), db=self._notes)
        # A database is known outside of its transaction only once that is committed.
        self._databases = {**self._databases, **made}

    def _grow(self, error: lmdb.Error) -> None:
        size = self._env.info()["map_size"]
        if size >= self._max_map:
            raise StoreFullError(f"features take the {self._max_map} bytes that they may") from error
        with self._resting, self._reading:
            self._env.set_mapsize(min(2 * size, self._max_map))

    def _digests(self) -> list[str]:
        with self._env.begin(db=self._notes) as transaction:
            return [key.decode() for key, _ in transaction.cursor()]


def put_aside(folder: Path) -> None:
    """Move what is damaged out of the way; what was put aside before goes. Raises OSError."""
    damaged = folder / "lmdb.damaged"
    if damaged.is_dir():
        shutil.rmtree(damaged)
    else:
        damaged.unlink(missing_ok=True)
    if (folder / "lmdb").exists():
        (folder / "lmdb").rename(damaged)
    (folder / "opening").unlink(missing_ok=True)


def _check(path: Path) -> None:
    """Read every page of a file whose last reader died; raises StoreDamagedError."""
    if not (path / "data.mdb").exists():
        return
    _log.warning("the feature store is checked before it is opened", path=str(path))
    try:
        problems: list[str] = verify.verify(str(path))  # type: ignore[no-untyped-call]
    except Exception as error:
        raise StoreDamagedError(f"{path} isn't sound: {error}") from error
    if problems:
        raise StoreDamagedError(f"{path} isn't sound: {problems[0]}")


def was_begun(path: Path) -> bool:
    """Whether anything was written: a process that died while it made the file leaves it empty."""
    try:
        with (path / "data.mdb").open("rb") as file:
            return any(file.read(_META))
    except FileNotFoundError:
        return False


def _is_short(path: Path) -> bool:
    """Whether the file may end before its last page, as after a copy that was cut: reading that is a SIGBUS."""
    try:
        with (path / "data.mdb").open("rb") as file:
            data = file.read(_META)
            page = int.from_bytes(data[_PAGE_SIZE_AT : _PAGE_SIZE_AT + 4], sys.byteorder)
            file.seek(page)
            data += file.read(_META)
            size = os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return False
    last = max(int.from_bytes(data[at : at + 8], sys.byteorder) for at in (_LAST_PAGE_AT, _META + _LAST_PAGE_AT))
    return (last + 1) * page > size


def _own(key: bytes, value: bytes) -> EntityRecord:
    """A record of this store, however it is looked at while another's are added."""
    try:
        return decode_entity(key, value)
    except ValueError as error:
        _refuse(error)


def _name(digest: str) -> bytes:
    return digests.hex_of(digest).encode()


def _refuse(error: lmdb.Error | ValueError) -> NoReturn:
    text = str(error)
    if isinstance(error, lmdb.MapFullError) or any(_says(error, number) for number in _FULL):
        raise StoreFullError(f"features find no room: {text}") from error
    if any(_says(error, number) for number in _FORBIDDEN):
        raise PermissionError(f"features may not be read or written: {text}") from error
    raise StoreDamagedError(f"features can't be read or written: {text}") from error


def _says(error: Exception, number: int) -> bool:
    """LMDB's errors of the system carry only its words."""
    return os.strerror(number) in str(error)
