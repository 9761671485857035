"""The one way to write a file that must be whole after a crash: temp, fsync, rename, fsync directory."""

import os
import secrets
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path


def fsync_directory(path: Path) -> None:
    """Make a directory's entries (a rename, a new file, a removal) survive power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_file(path: Path, data: bytes, mode: int = 0o640) -> None:
    """Replace `path` by `data` so that a reader, or a reboot, sees the old bytes or the new ones, never a mix.

    Raises OSError; the old file is then untouched and the temporary one removed.
    """
    write_chunks(path, (data,), mode)


def write_chunks(path: Path, chunks: Iterable[bytes], mode: int = 0o640) -> None:
    """Replace `path` by a stream of chunks, as `write_file` does; whatever the stream raises leaves the old file."""
    with replacing(path) as temporary:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            for chunk in chunks:
                view = memoryview(chunk)
                while view:
                    view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Lend a temporary path beside `path`; what was written and fsynced there takes its place, or is removed."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        yield temporary
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_directory(path.parent)


def remove_file(path: Path) -> None:
    """Remove a file, if it is there, so that it stays removed after power loss."""
    path.unlink(missing_ok=True)
    fsync_directory(path.parent)
