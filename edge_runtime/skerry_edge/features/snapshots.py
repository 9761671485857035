"""Snapshots of a version's state: what a store that was damaged goes on from, however little the logs still hold.

A file `<version's digest>.<its own digest>` holds one zstd frame: MAGIC, the version's note (which says up to where the
logs are in it), then key and record of each entity in the order of their keys, then how many there were. The same state
and note give the same bytes. A file that isn't what its name says is not restored but removed.

What consent was withdrawn for must not live on here: `forget` also keeps a snapshot that is just being made from being
kept (see `Materializer`), and whatever was withdrawn since a snapshot was made is taken out of what it restored.
"""

import hashlib
import shutil
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import structlog
import zstandard

from skerry_core import digest as digests
from skerry_core.durable import fsync_directory, write_chunks
from skerry_edge.features.note import (
    EntityRecord,
    VersionNote,
    decode_entity,
    decode_note,
    encode_entity,
    encode_note,
)

FOLDER = "snapshots"
"""In the feature store's folder."""
NEIGHBOURS = "neighbours"
"""In the store folder: snapshots of other nodes, which sync puts there."""
EXPIRES = timedelta(hours=48)
KEPT = 2
"""Snapshots of one version; the older is for the case that the newer is damaged."""
MAGIC = b"skerry-features-1\n"
MAX_FILE = 8 << 30
_MAX_RECORD = 64 << 20
# Below this part of the volume free there are no new ones: events need the room.
_SHORT = 0.15
_LEVEL = 3
_CHUNK = 1 << 20
_SIZES = struct.Struct("<HI")
_COUNT = struct.Struct("<Q")
# A key has at least one byte, so this stands for the end.
_END = _SIZES.pack(0, 0)

_log = structlog.get_logger(__name__)

Entities = Iterator[tuple[bytes, EntityRecord]]


@dataclass(frozen=True)
class Snapshot:
    """A file of which only the name has been read; `made` is in seconds since 1970, by the file system."""

    path: Path
    made: float

    def note(self) -> VersionNote:
        """The version's note. Raises ValueError, OSError."""
        with self.path.open("rb") as file:
            return _Reader(file).note

    def verify(self, document: bytes) -> None:
        """Raises ValueError if the bytes aren't those of the name, or of another document's version; OSError."""
        if self.path.stat().st_size > MAX_FILE:
            raise ValueError("the file is too long")
        found = hashlib.sha256()
        with self.path.open("rb") as file:
            while data := file.read(_CHUNK):
                found.update(data)
        if found.hexdigest() != self.path.name.partition(".")[2]:
            raise ValueError("the bytes aren't those of the name")
        if self.note().document != document:
            raise ValueError("it is of another document")

    def entities(self) -> Entities:
        """In ascending order of their keys. Raises ValueError, OSError."""
        with self.path.open("rb") as file:
            yield from _Reader(file).entities()


class Snapshots:
    """A folder of them. Threads share it."""

    def __init__(self, folder: Path) -> None:
        """Remove what a process that was killed left half made. Raises OSError."""
        self._folder = folder
        self._remove([*folder.glob(".new.*"), *folder.glob("new")])
        self._lock = threading.Lock()
        self.forgotten = 0
        """How often something was."""

    def of(self, digest: str) -> list[Snapshot]:
        """A version's, the newest first. Raises OSError."""
        found = [Snapshot(path, path.stat().st_mtime) for path in self._folder.glob(f"{digests.hex_of(digest)}.*")]
        return sorted(found, key=lambda snapshot: snapshot.made, reverse=True)

    def write(self, digest: str, note: VersionNote, entities: Entities, forgotten: int) -> bool:
        """Keep a version's state durably, unless something was forgotten since; whether it is kept.

        Raises OSError, and what `entities` does.
        """
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made, content = self._folder / "new", hashlib.sha256()
        write_chunks(made, _digested(_frame(note, entities), content), mode=0o600)
        with self._lock:
            if self.forgotten != forgotten:
                made.unlink()
                return False
            made.rename(self._folder / f"{digests.hex_of(digest)}.{content.hexdigest()}")
            fsync_directory(self._folder)
        self._remove(snapshot.path for snapshot in self.of(digest)[KEPT:])
        return True

    def have_room(self) -> bool:
        """Whether the volume has room for one more. Raises OSError."""
        volume = shutil.disk_usage(self._folder.parent)
        return volume.free >= _SHORT * volume.total

    def forget(self, keep: Iterable[str] = ()) -> None:
        """Remove all, but those of the versions to `keep`. Raises OSError."""
        kept = {digests.hex_of(digest) for digest in keep}
        with self._lock:
            self.forgotten += 1
            if self._folder.is_dir():
                # What is just being made has another name, and will not get its own.
                self._remove(
                    path for path in self._folder.glob("[0-9a-f]*.*") if path.name.partition(".")[0] not in kept
                )

    def expire(self, now: float) -> None:
        """Remove those past their age at `now` (seconds since 1970). Raises OSError."""
        if self._folder.is_dir():
            limit = now - EXPIRES.total_seconds()
            self._remove(path for path in self._folder.iterdir() if path.stat().st_mtime < limit)

    def discard(self, snapshot: Snapshot, why: str) -> None:
        """Remove one that can't be used. Raises OSError."""
        _log.warning("snapshot of features can't be used", file=snapshot.path.name, error=why[:200])
        self._remove([snapshot.path])

    def _remove(self, paths: Iterable[Path]) -> None:
        gone = list(paths)
        for path in gone:
            path.unlink(missing_ok=True)
        if gone:
            fsync_directory(self._folder)


def _frame(note: VersionNote, entities: Entities) -> Iterator[bytes]:
    compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).chunker(chunk_size=_CHUNK)
    head = encode_note(note)
    yield from compressor.compress(MAGIC + len(head).to_bytes(4, "little") + head)
    count = 0
    for key, record in entities:
        data = encode_entity(key, record)
        yield from compressor.compress(_SIZES.pack(len(key), len(data)) + key + data)
        count += 1
    yield from compressor.compress(_END + _COUNT.pack(count))
    yield from compressor.finish()  # type: ignore[no-untyped-call]


def _digested(chunks: Iterator[bytes], content: "hashlib._Hash") -> Iterator[bytes]:
    for chunk in chunks:
        content.update(chunk)
        yield chunk


class _Reader:
    """Reads one file from its beginning."""

    def __init__(self, file: BinaryIO) -> None:
        self._stream = zstandard.ZstdDecompressor(max_window_size=1 << 27).stream_reader(
            file, closefd=False, read_size=_CHUNK
        )
        if self._take(len(MAGIC)) != MAGIC:
            raise ValueError("it is no snapshot of this format")
        self.note = decode_note(self._take(int.from_bytes(self._take(4), "little")))

    def entities(self) -> Entities:
        count = 0
        while True:
            of_key, of_record = _SIZES.unpack(self._take(_SIZES.size))
            if not of_key:
                break
            key = self._take(of_key)
            yield key, decode_entity(key, self._take(of_record))
            count += 1
        if _COUNT.unpack(self._take(_COUNT.size)) != (count,) or self._stream.read(1):
            raise ValueError("it holds another number of entities than it says")

    def _take(self, size: int) -> bytes:
        if size > _MAX_RECORD:
            raise ValueError("a record is too long")
        try:
            data = self._stream.read(size)
        except zstandard.ZstdError as error:
            raise ValueError(f"it can't be unpacked: {error}") from error
        if len(data) < size:
            raise ValueError("it is cut short")
        return bytes(data)
