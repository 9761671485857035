"""Puts summaries and overruns into the log, each exactly once, whenever the process is killed.

What is about to be appended is noted first, with the figures up to which it tells and the number from which on it will
be. A process that finds such a note looks whether the log has those records, and appends what it doesn't have.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec
import structlog

from skerry_core.batch.contents import MAX_SEQ
from skerry_core.batch.flags import Flags
from skerry_core.durable import write_file
from skerry_edge.events.holes import HoleReason
from skerry_edge.events.identity import ASIDE
from skerry_edge.events.log import StreamLog
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import NewRecord
from skerry_edge.telemetry.bodies import event_id
from skerry_edge.telemetry.incidents import IncidentState
from skerry_edge.telemetry.measures import Measures, Snapshot

# Numbers that named records which aren't in the log any more.
_GONE = frozenset({HoleReason.REMOVED, HoleReason.EXPIRED})

_log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Told:
    """Up to where everything is told: the number of the last summary, the figures then, and which overruns were on."""

    number: int
    snapshot: Snapshot
    incidents: IncidentState


@dataclass(frozen=True)
class _Pending:
    body: bytes
    time: int
    received: int
    flags: int


@dataclass(frozen=True)
class _Note:
    number: int
    wall: int
    uptime: int
    boot: str
    processes: dict[str, Any]
    incidents: IncidentState
    pending: tuple[_Pending, ...]
    epoch: str
    seq: int


class Recorder:
    """Writes the stream `telemetry`, which nobody else writes. Used by one thread at a time."""

    def __init__(self, note: Path, log: StreamLog) -> None:
        """`note` is the file that has to outlive the process."""
        self._path = note
        self._log = log
        self._pending: tuple[NewRecord, ...] = ()
        self.told: Told | None = None
        # Without a note, nothing was ever told; with one that can't be read, nobody knows what was.
        self.forgotten = False
        try:
            self._recall(msgspec.json.decode(note.read_bytes(), type=_Note))
        except FileNotFoundError:
            pass
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.forgotten = True
            _log.warning("telemetry's note can't be read", reason="NoteDamaged", error=type(error).__name__)

    def record(self, told: Told, records: Sequence[NewRecord]) -> None:
        """Append records that tell everything up to `told`. Raises OSError; nothing has changed then.

        Raises LogFullError or LogFailedError if the log can't take them now: `land` takes care of them.
        """
        note = _Note(
            told.number,
            told.snapshot.wall,
            told.snapshot.uptime,
            told.snapshot.boot,
            {name: measures.to_wire() for name, measures in told.snapshot.processes.items()},
            told.incidents,
            tuple(_Pending(each.body, each.time, each.received, int(each.flags)) for each in records),
            self._log.epoch,
            self._log.status().next_seq,
        )
        write_file(self._path, msgspec.json.encode(note))
        self.told = told
        self._pending = tuple(records)
        self.land()

    def land(self) -> None:
        """Append what was noted and isn't in the log yet. Raises LogFullError, LogFailedError."""
        if self._pending:
            self._log.append(self._pending)
            self._pending = ()

    def _recall(self, note: _Note) -> None:
        processes: Mapping[str, Measures] = {
            name: Measures.from_wire(measures) for name, measures in note.processes.items()
        }
        self.told = Told(note.number, Snapshot(note.wall, note.uptime, note.boot, processes), note.incidents)
        landed = self._landed(note)
        self._pending = tuple(
            NewRecord(each.body, each.time, each.received, Flags(each.flags))
            for each in note.pending
            if event_id(each.body) not in landed
        )

    def _landed(self, note: _Note) -> set[str]:
        """Which of the noted records the log has, or had."""
        noted = {event_id(each.body) for each in note.pending}
        directory = self._log.directory
        if note.epoch != self._log.epoch:
            directory = directory.with_name(f"{directory.name}{ASIDE}{note.epoch}")
        if not directory.is_dir():
            return set()
        reader = LogReader(directory)
        if any(hole.reason in _GONE and hole.first <= note.seq for hole in reader.holes(note.seq, MAX_SEQ)):
            return noted
        # After a power cut the log goes on at a higher number than was expected.
        batches = reader.read(note.seq, len(note.pending))
        return noted & {event_id(record.body) for batch in batches for record in batch.records()}


def at_start(snapshot: Snapshot) -> Told:
    """What has been told where nothing has."""
    return Told(0, replace(snapshot, processes={}), IncidentState())
