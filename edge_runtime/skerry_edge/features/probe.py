"""Reads a feature store whole in a process of its own, so that a damaged file ends that one and not who serves models.

LMDB believes what it maps: garbage in a page of a file of the right length may be a SIGSEGV or SIGBUS, which no handler
mends. `python -m skerry_edge.features.probe FOLDER` ends with 0 if all of it can be read and written to, with DAMAGED
if it says that it can't, and by a signal if even that can't be said.
"""

import ctypes
import os
import signal
import subprocess
import sys
from pathlib import Path

import lmdb
import structlog

from skerry_edge.features.note import decode_entity, decode_note
from skerry_edge.features.ports import StoreDamagedError
from skerry_edge.features.store import MAX_VERSIONS, NOTES, LmdbStore, was_begun

DAMAGED = 3
# A store as large as may be is read in a minute from a slow disk's cache; a disk that hangs is no damage.
_SECONDS = 300.0
_PR_SET_PDEATHSIG = 1

_log = structlog.get_logger(__name__)


def probe(folder: Path) -> None:
    """Raises StoreDamagedError for a store that is not to be opened; what else keeps it from being read is logged."""
    if not was_begun(folder / "lmdb"):
        return
    command = [sys.executable, "-m", __name__, str(folder), str(os.getpid())]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603 - our own
    except (OSError, subprocess.TimeoutExpired) as error:
        _log.warning("the feature store can't be looked at before it is opened", error=str(error)[:300])
        return
    if done.returncode == DAMAGED or done.returncode < 0:
        why = done.stderr.decode(errors="replace").strip()[-300:] or f"who reads it dies of signal {-done.returncode}"
        raise StoreDamagedError(f"{folder} isn't sound: {why}")
    if done.returncode:
        _log.warning("the feature store can't be looked at before it is opened", code=done.returncode)


def open_probed(folder: Path) -> LmdbStore:
    """The store, once it is known that opening it harms nobody. Raises OSError, StoreDamagedError."""
    probe(folder)
    return LmdbStore(folder)


def _read_all(path: Path) -> None:
    """Raises lmdb.Error, ValueError."""
    with lmdb.open(
        str(path), map_size=2 * (path / "data.mdb").stat().st_size, max_dbs=MAX_VERSIONS + 1, create=False
    ) as env:
        with env.begin() as transaction:
            names = [name for name, _ in transaction.cursor()]
        if NOTES not in names:
            if names:
                raise ValueError("there are versions without notes")
            return  # who made it was killed before the first commit
        names.remove(NOTES)
        notes = env.open_db(NOTES, create=False)
        with env.begin() as transaction:
            for _, value in transaction.cursor(db=notes):
                decode_note(value)
        for name in names:
            database = env.open_db(name, create=False)
            with env.begin(db=database) as transaction:
                for key, value in transaction.cursor():
                    decode_entity(key, value)
        # Pages that are free are found only by who writes.
        with env.begin(write=True) as transaction:
            transaction.put(b"probe", bytes(8192), db=notes)
            transaction.abort()


def main(folder: str, parent: int) -> int:
    """The child's part; it doesn't outlive its parent, or the next one would find the file in use."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        return 1
    try:
        _read_all(Path(folder) / "lmdb")
    except (lmdb.CorruptedError, lmdb.PageNotFoundError, lmdb.InvalidError, lmdb.VersionMismatchError) as error:
        sys.stderr.write(f"{error}\n")
        return DAMAGED
    except (lmdb.NotFoundError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return DAMAGED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
