"""Follows streams and writes what is derived from them to a log of sync's own; each derived record once."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import msgspec
import structlog

from skerry_core.batch.contents import LogName, Row
from skerry_core.durable import write_file
from skerry_core.errors import SkerryError
from skerry_core.micros import micros_of
from skerry_core.sync_policy.document import StreamPolicy, SyncPolicyDocument
from skerry_edge.events.follow import Place
from skerry_edge.events.log import StreamLog
from skerry_edge.events.record import NewRecord
from skerry_edge.sync.outbound.derived import DerivedLog
from skerry_edge.sync.outbound.outbound import Outbound
from skerry_edge.sync.outbound.tails import Tails

PERIOD = timedelta(seconds=1)
# How far it is gets noted this often; what came later is derived again after a start.
NOTE_EVERY = timedelta(seconds=10)
# Records of one stream in one step, so that none keeps the others waiting.
_READ = 256

_log = structlog.get_logger()

S = TypeVar("S")


@dataclass(frozen=True)
class Step(Generic[S]):
    """What came of some records: records to append with their ids, and the stream's state behind them.

    `report` is called once they are appended.
    """

    records: Sequence[tuple[str, NewRecord]]
    state: S
    report: Callable[[], None]


class Derivation(Protocol[S]):
    """What is derived; the same from the same records, so that ids find again what is there already."""

    state: type[S]

    def adopt(self, document: SyncPolicyDocument) -> Sequence[StreamPolicy]:
        """Go by this policy from now on; the streams to follow."""
        ...

    def take(self, log: LogName, rows: Sequence[Row], state: S | None, *, until: int, now: int) -> Step[S]:
        """Derive from a stream's next records; it was read up to the time `until`. Both times in µs since 1970."""
        ...


class _Note(msgspec.Struct):
    """By stream up to where it was read, and its state; `end` is that of the derived log then, or before."""

    places: dict[str, Place]
    end: Place
    states: dict[str, Any]


class DerivingLoop(Generic[S]):
    """A loop's `step`, and what its process tells it. `adopt` and `held` may be called by other threads."""

    def __init__(
        self,
        derivation: Derivation[S],
        note: Path,
        roots: Sequence[Path],
        outbound: Outbound,
        log: StreamLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`note` is this loop's own file, `roots` hold the streams' logs, `log` is where derived records go.

        Raises OSError.
        """
        self._derivation = derivation
        self._path = note
        self._outbound = outbound
        self._clock = clock
        noted, self._lost = self._noted()
        self._states: dict[str, S] = {
            name: msgspec.convert(state, derivation.state) for name, state in noted.states.items()
        }
        self._tails = Tails(roots, noted.places)
        self._derived = DerivedLog(log, noted.end)
        self._held = noted.places
        # What the log holds behind `_since` may be derived again, until every stream has been read to its end once.
        self._since = noted.end
        self._behind = set(noted.places)
        self._offered: SyncPolicyDocument | None = None
        self._streams: Sequence[StreamPolicy] = ()
        self._dirty = False
        self._written_at: datetime | None = None

    def adopt(self, document: SyncPolicyDocument) -> None:
        """Go by this policy from the next step on; a stream that wasn't followed before is from what it holds then."""
        self._offered = document

    def held(self) -> dict[str, Place]:
        """By stream that is followed, up to where its log is no longer needed; segments behind that must stay."""
        return dict(self._held)

    def step(self) -> timedelta:
        """Take what the streams have; the pause until the next step.

        A stream that can't be read or judged keeps no other waiting; its error is raised once the others are read.
        """
        now = self._clock()
        self._take_policy(now)
        failure: SkerryError | OSError | None = None
        more = False
        for stream in self._streams:
            try:
                more = self._take(stream, now) or more
            except (SkerryError, OSError) as error:
                failure = error
        self._write(now)
        # After an error the next step is put off, and what the others have would be taken a part at a time.
        if failure is not None and not more:
            raise failure
        return timedelta() if more else PERIOD

    def _take_policy(self, now: datetime) -> None:
        document, self._offered = self._offered, None
        if document is None:
            return
        try:
            self._streams = self._derivation.adopt(document)
            self._tails.follow((stream.name for stream in self._streams), whole=self._lost)
        except OSError:
            self._offered = self._offered or document
            raise
        followed = self._tails.places.keys()
        self._states = {name: state for name, state in self._states.items() if name in followed}
        self._behind = set(followed) if self._lost else self._behind & followed
        # At once: a stream that isn't in the file would be followed from its end after a start.
        self._dirty, self._written_at, self._lost = True, None, False
        self._write(now)

    def _take(self, stream: StreamPolicy, now: datetime) -> bool:
        """Whether there may be more of a stream right now."""
        name = stream.name
        stretch = self._tails.read(name, _READ)
        identity = self._tails.identity(name) if stretch is None else stretch.identity
        if stretch is None:
            self._behind.discard(name)
        if identity is None:
            return False
        rows: Sequence[Row] = ()
        until = at = micros_of(now)
        if stretch is not None and stretch.batches:
            rows = self._outbound.admitted(stream, stretch.batches, now)
            until = int(stretch.batches[-1].received[-1])
        log = LogName(identity.site, identity.node, name, identity.epoch)
        before = self._states.get(name)
        step = self._derivation.take(log, rows, before, until=until, now=at)
        self._derived.append(step.records)
        step.report()
        if stretch is not None:
            self._tails.move(name, stretch.place)
        self._states[name] = step.state
        self._dirty = self._dirty or stretch is not None or step.state != before
        return stretch is not None

    def _write(self, now: datetime) -> None:
        if not self._dirty or (self._written_at is not None and timedelta() <= now - self._written_at < NOTE_EVERY):
            return
        if not self._behind:
            self._since = self._derived.end
        places = self._tails.places
        states = {name: msgspec.to_builtins(state) for name, state in self._states.items()}
        write_file(self._path, msgspec.json.encode(_Note(places, self._since, states)), mode=0o600)
        self._held, self._dirty, self._written_at = places, False, now

    def _noted(self) -> tuple[_Note, bool]:
        """What the file says, and whether there was one that can't be understood: then all is derived again."""
        try:
            noted = msgspec.json.decode(self._path.read_bytes(), type=_Note)
            for state in noted.states.values():
                msgspec.convert(state, self._derivation.state)
        except FileNotFoundError:
            return _Note({}, Place(), {}), False
        except (ValueError, RecursionError) as error:
            _log.warning("what was derived can't be told", reason="NoteLost", file=self._path.name, error=str(error))
            return _Note({}, Place(), {}), True
        return noted, False
