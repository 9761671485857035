"""Two durable stores for the same records, on the same disk: the node's log, and SQLite with WAL, synchronous=FULL."""

import sqlite3
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from skerry_edge.events.identity import Owner
from skerry_edge.events.logs import EventLogs
from skerry_edge.events.record import NewRecord
from skerry_edge.events.settings import StreamSettings

STREAM = "bench"
SETTINGS = StreamSettings(STREAM, 0, timedelta(days=30), 1 << 40)


def open_logs(root: Path) -> EventLogs:
    """Logs below `root`, with what they are opened with on a node."""
    return EventLogs(root, Owner("site", "node", "boot"))


class LogStore:
    """One stream's log."""

    def __init__(self, root: Path) -> None:
        self._logs = open_logs(root)
        self._log = self._logs.open(SETTINGS)

    def prepare(self, records: Sequence[NewRecord]) -> Sequence[NewRecord]:
        """What `append` takes; not part of the measured time."""
        return records

    def append(self, prepared: Sequence[NewRecord]) -> None:
        """Durable when it returns."""
        self._log.append(prepared)

    def close(self) -> None:
        self._logs.close()


class SqliteStore:
    """A table with the same columns; the caller has no number or hybrid time to make, which is SQLite's gain."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self._db = sqlite3.connect(root / "events.db", isolation_level=None)
        (mode,) = self._db.execute("PRAGMA journal_mode = WAL").fetchone()
        assert mode == "wal"
        self._db.execute("PRAGMA synchronous = FULL")
        self._db.execute(
            "CREATE TABLE events (seq INTEGER PRIMARY KEY, hlc INTEGER, time INTEGER, received INTEGER, flags INTEGER,"
            " body BLOB) STRICT"
        )

    def prepare(self, records: Sequence[NewRecord]) -> list[tuple[int, int, int, int, bytes]]:
        """What `append` takes; not part of the measured time."""
        return [(record.received, record.time, record.received, int(record.flags), record.body) for record in records]

    def append(self, prepared: list[tuple[int, int, int, int, bytes]]) -> None:
        """Durable when it returns."""
        self._db.execute("BEGIN")
        self._db.executemany("INSERT INTO events (hlc, time, received, flags, body) VALUES (?, ?, ?, ?, ?)", prepared)
        self._db.execute("COMMIT")

    def close(self) -> None:
        self._db.close()
