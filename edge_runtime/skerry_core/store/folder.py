"""A folder as a store: what an air gap carries over, and what one machine needs no server for."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from skerry_core.durable import fsync_directory, write_chunks
from skerry_core.store.errors import (
    ObjectMissingError,
    StoreAddressInvalidError,
    StoreCredentialsRefusedError,
    StoreFullError,
    StoreUnavailableError,
)
from skerry_core.store.port import ByteStream, ObjectInfo, SizedStream, check_key

_CHUNK = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT}
_DENIED = {errno.EACCES, errno.EPERM, errno.EROFS}


class FolderStore:
    """Objects as files below `root`, which must exist. Puts are durable (fsynced) when they return.

    Links are never followed out of the root. Names such as `.x.tmp` are unfinished writes and no objects.
    """

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()

    @property
    def uri(self) -> str:
        return self._root.as_uri()

    def put(self, key: str, data: bytes | ByteStream, size: int | None = None) -> None:
        stream = SizedStream(key, data, size)
        with self._converted(key):
            path = self._path(key)
            self._make_folders(path.parent)
            write_chunks(path, iter(lambda: stream.read(_CHUNK), b""))

    def get(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        with self._converted(key):
            path = self._path(key)
            if path.is_dir():
                raise ObjectMissingError(key)
            with path.open("rb") as file:
                file.seek(start)
                left = None if end is None else max(end - start, 0)
                while chunk := file.read(_CHUNK if left is None else min(_CHUNK, left)):
                    left = None if left is None else left - len(chunk)
                    yield chunk

    def stat(self, key: str) -> ObjectInfo | None:
        with self._converted(key):
            path = self._path(key)
            try:
                return ObjectInfo(key, path.stat().st_size) if path.is_file() else None
            except FileNotFoundError:
                return None

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self._converted(prefix):
            self._require_root()
            folder = prefix.rpartition("/")[0]
            start = self._path(folder) if folder else self._root
            if not start.is_dir():
                return
            for key, size in _walk(start, f"{folder}/" if folder else ""):
                if key.startswith(prefix):
                    yield ObjectInfo(key, size)

    def delete(self, key: str) -> None:
        with self._converted(key):
            path = self._path(key)
            try:
                path.unlink()
            except FileNotFoundError:
                return
            fsync_directory(path.parent)

    def _path(self, key: str) -> Path:
        """The file of a key; its folder, links resolved, lies below the root."""
        self._require_root()
        path = self._root / check_key(key)
        if _is_temporary(path.name):
            raise StoreAddressInvalidError(f"{key!r} is a name for unfinished writes")
        if not path.resolve().is_relative_to(self._root.resolve()):
            raise StoreAddressInvalidError(f"{key!r} leads out of {self._root}")
        return path

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise StoreUnavailableError(f"{self._root} is not a folder: create it, or mount the disk that holds it")

    def _make_folders(self, folder: Path) -> None:
        """Make the missing folders of a key, durably: an entry survives when its parent is synced."""
        missing = [path for path in (folder, *folder.parents) if path.is_relative_to(self._root) and not path.exists()]
        for path in reversed(missing):
            path.mkdir(exist_ok=True)
            fsync_directory(path.parent)

    @contextmanager
    def _converted(self, key: str) -> Iterator[None]:
        """Turn the file system's errors into the store's."""
        try:
            yield
        except FileNotFoundError:
            raise ObjectMissingError(key) from None
        except (NotADirectoryError, IsADirectoryError, FileExistsError):
            raise StoreAddressInvalidError(f"{key!r}: a key can't also be another key's folder") from None
        except OSError as error:
            message = f"{self._root}: {error.strerror or error}"
            if error.errno in _FULL:
                raise StoreFullError(f"{message}: make room") from error
            if error.errno in _DENIED:
                raise StoreCredentialsRefusedError(f"{message}: give this user access to the folder") from error
            raise StoreUnavailableError(message) from error


def _is_temporary(name: str) -> bool:
    return name.startswith(".") and name.endswith(".tmp")


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, int]]:
    """Yield (key, size) in order of the keys' bytes: a folder sorts as its name with the slash."""
    with os.scandir(folder) as scan:
        entries = sorted(scan, key=lambda entry: os.fsencode(entry.name + ("/" if _is_folder(entry) else "")))
    for entry in entries:
        key = prefix + entry.name
        if _is_folder(entry):
            yield from _walk(Path(entry.path), f"{key}/")
        elif entry.is_file(follow_symlinks=False) and not _is_temporary(entry.name):
            yield key, entry.stat(follow_symlinks=False).st_size


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    return entry.is_dir(follow_symlinks=False)
