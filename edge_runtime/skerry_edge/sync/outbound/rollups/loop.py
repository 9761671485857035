"""Follows the streams that are rolled up, and writes each window that is over to the log `rollups`, once.

What was read, the open windows and those that are over are noted in one write before any of the latter is appended. So
wherever the process dies, each record is in exactly one window, and each window is appended once: what may be there
already is found by its id.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry, Counter

from skerry_api.v1alpha1.syncpolicy import ROLLUPS
from skerry_core.errors import SkerryError
from skerry_core.micros import micros_of
from skerry_core.sync_policy.document import StreamPolicy, SyncPolicyDocument
from skerry_edge.events.follow import Place, Stretch
from skerry_edge.events.log import StreamLog
from skerry_edge.events.record import MAX_BODY, NewRecord
from skerry_edge.events.settings import LogFullError
from skerry_edge.sync.outbound.consent import Consents
from skerry_edge.sync.outbound.derived import DerivedLog, id_of, source_of
from skerry_edge.sync.outbound.outbound import Outbound
from skerry_edge.sync.outbound.parts import without
from skerry_edge.sync.outbound.rollups.note import FORMAT, Note, StreamNote, read_note, write_note
from skerry_edge.sync.outbound.rollups.taking import Taking, parts
from skerry_edge.sync.outbound.rollups.told import Told
from skerry_edge.sync.outbound.rollups.unsent import entry_of, taken_back, waiting
from skerry_edge.sync.outbound.rollups.windows import Key, Opened, Window, close, fold
from skerry_edge.sync.outbound.tails import Tails
from skerry_edge.sync.positions import Sent

PERIOD = timedelta(seconds=1)
# How far it is gets noted this often, and whenever a window is over; what came later is read again after a start.
NOTE_EVERY = timedelta(seconds=60)
# Of open windows of all streams, in memory and in the file; with more, those of the largest are told early.
MAX_BYTES = 4 << 20
# Records of one stream in one step, so that none keeps the others waiting; and of windows in one append.
_READ = 256
_APPEND = 64

_log = structlog.get_logger()


@dataclass(frozen=True)
class Destination:
    """The log `rollups`: `redact` takes out the bodies that match, as EventLogs does; `sent` is what the store has."""

    log: StreamLog
    redact: Callable[[Callable[[bytes], bool]], int]
    sent: Callable[[], Sent]


@dataclass
class _Stream:
    """One stream's windows; `consents` are those by which they were looked through last."""

    rules: str
    consent: str
    opened: Opened = field(default_factory=Opened)
    windows: Mapping[Key, Window] = field(default_factory=dict)
    over: tuple[Window, ...] = ()
    consents: Consents | None = None


def _size(windows: Iterable[Window]) -> int:
    return sum(window.size for window in windows)


class RollupLoop:
    """A loop's `step`, and what its process tells it. `adopt` and `held` may be called by other threads."""

    def __init__(
        self,
        note: Path,
        roots: Sequence[Path],
        outbound: Outbound,
        to: Destination,
        registry: CollectorRegistry,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`note` is this loop's own file, `roots` hold the streams' logs. Raises OSError."""
        self._path = note
        self._outbound = outbound
        self._log, self._to = to.log, to
        self._clock = clock
        noted = self._noted()
        self._tails = Tails(roots, noted.places)
        self._derived = DerivedLog(to.log, noted.end)
        self._unsent, self._revoked = noted.unsent, frozenset(noted.revoked)
        self._consents: Consents | None = None
        self._streams = {name: self._taken_up(name, each, noted.end.seq) for name, each in noted.streams.items()}
        self._held = {**noted.places, ROLLUPS: noted.end}
        self._offered: SyncPolicyDocument | None = None
        self._followed: Sequence[StreamPolicy] = ()
        self._taking: Mapping[str, Taking] = {}
        self._dirty = self._urgent = False
        self._written_at: datetime | None = None
        self._outcomes = Counter(
            "skerry_sync_rollups_total",
            "Windows of rollups, by stream and outcome: Told, or TooLarge or NoRoom for a record.",
            ["stream", "outcome"],
            registry=registry,
        )
        self._withdrawn = Counter(
            "skerry_sync_rollups_withdrawn_total",
            "Records of rollups taken back before they left, since an entity in them withdrew its consent.",
            registry=registry,
        )
        self._left_out = Counter(
            "skerry_sync_rollups_left_out_total",
            "Values that are in no rollup: of no kind that can be told of, of too many fields, or of too many windows.",
            ["stream"],
            registry=registry,
        )

    def adopt(self, document: SyncPolicyDocument) -> None:
        """Go by this policy from the next step on; a stream that wasn't followed before is from what it holds then."""
        self._offered = document

    def held(self) -> dict[str, Place]:
        """By stream, `rollups` too, up to where its log is no longer needed; segments behind that must stay."""
        return dict(self._held)

    def step(self) -> timedelta:
        """Take what the streams have, and tell what is over; the pause until the next step.

        A stream that can't be read or judged keeps no other waiting; its error is raised once the others are read.
        """
        now = self._clock()
        self._take_policy(now)
        failures: list[SkerryError | OSError] = []
        more = False
        # What couldn't be told yet takes as much again at most; then the streams wait.
        waits = sum(_size(held.over) for held in self._streams.values()) > MAX_BYTES
        for stream in () if waits else self._followed:
            try:
                more = self._take(stream, now) or more
            except (SkerryError, OSError) as error:
                failures.append(error)
        try:
            self._take_back(now)
        except (SkerryError, OSError) as error:
            failures.append(error)
        self._write(now)
        for name in [name for name, held in self._streams.items() if held.over]:
            try:
                self._tell(name, now)
            except (SkerryError, OSError) as error:
                failures.append(error)
        # After an error the next step is put off, and what the others have would be taken a part at a time.
        if failures and not more:
            raise failures[-1]
        return timedelta() if more else PERIOD

    def _take_policy(self, now: datetime) -> None:
        document, self._offered = self._offered, None
        if document is None:
            return
        classes = {policy.name: Taking.by(policy, self._outbound.rules(policy)) for policy in document.data_classes}
        taking = {
            stream.name: Taking() if stream.data_class is None else classes[stream.data_class]
            for stream in document.streams
        }
        followed = [stream for stream in document.streams if stream.rollup_window is not None]
        try:
            self._tails.follow(stream.name for stream in followed)
        except OSError:
            self._offered = self._offered or document
            raise
        self._followed, self._taking = followed, {stream.name: taking[stream.name] for stream in followed}
        # What was taken by other rules is told no more, and doesn't leave if it was told and waits for the link.
        other = {name for name, held in self._streams.items() if name in taking and held.rules != taking[name].stamp}
        self._revoked |= other
        # Those that aren't followed any more are remembered by their rules alone.
        self._streams = {
            name: held if name in self._taking else _Stream(held.rules, held.consent)
            for name, held in self._streams.items()
            if name not in other
        }
        # At once: a stream that isn't in the file would be followed from its end after a start.
        self._dirty = self._urgent = True
        self._write(now)

    def _take(self, stream: StreamPolicy, now: datetime) -> bool:
        """Whether there may be more of a stream right now."""
        name, until = stream.name, micros_of(now)
        held = self._streams.get(name) or _Stream(self._taking[name].stamp, self._taking[name].consent)
        self._consented(held, now)
        stretch = self._tails.read(name, _READ)
        if stretch is not None:
            self._fold(stream, held, stretch, now)
            self._tails.move(name, stretch.place)
            self._streams[name], self._dirty = held, True
            until = int(stretch.batches[-1].received[-1]) if stretch.batches else until
        self._end(held, *close(held.windows.values(), until))
        self._relieve()
        return stretch is not None

    def _relieve(self) -> None:
        """End windows early while they take too much: all of the stream that has most."""
        sizes = {name: _size(held.windows.values()) for name, held in self._streams.items()}
        while sum(sizes.values()) > MAX_BYTES:
            largest = max(sizes, key=lambda name: sizes[name])
            self._end(self._streams[largest], self._streams[largest].windows.values(), ())
            sizes[largest] = 0

    def _end(self, held: _Stream, over: Iterable[Window], left: Iterable[Window]) -> None:
        ended = tuple(over)
        if ended:
            held.windows, held.over = {window.key: window for window in left}, (*held.over, *ended)
            self._urgent = True

    def _fold(self, stream: StreamPolicy, held: _Stream, stretch: Stretch, now: datetime) -> None:
        assert stream.rollup_window is not None
        rows = self._outbound.admitted(stream, stretch.batches, now) if stretch.batches else ()
        width = stream.rollup_window // timedelta(microseconds=1)
        windows, opened, left_out = held.windows, held.opened, 0
        for part in parts(rows):
            values = list(self._taking[stream.name].values(stream.name, part))
            folded = fold(windows, opened, stretch.identity.epoch, (each for each, _ in values), width)
            windows, opened = folded.windows, folded.opened
            left_out += folded.left_out + sum(count for _, count in values)
        held.windows, held.opened = windows, opened
        if left_out:
            self._left_out.labels(stream.name).inc(left_out)

    def _consented(self, held: _Stream, now: datetime) -> None:
        """Leave of a stream's windows what there is consent for now. Raises RetryError ConsentUnreadable."""
        consents = self._outbound.consents(now) if held.consent else None
        if consents is None or consents is held.consents:
            return

        def covered(entity: str, hlc: int) -> bool:
            return consents.covers(entity, held.consent, hlc)

        windows = {window.key: window for window in without(held.windows.values(), covered)}
        over = without(held.over, covered)
        if windows != held.windows or over != held.over:
            held.windows, held.over = windows, over
            self._dirty = self._urgent = True
        held.consents = consents

    def _tell(self, name: str, now: datetime) -> None:
        """Append what is over. Where there is no room it is lost, and counted: a rollup must hold up no stream."""
        held, at = self._streams[name], micros_of(now)
        self._consented(held, now)
        while held.over:
            told = [self._told_of(name, window) for window in held.over[:_APPEND]]
            made = [(each.id, each.record(at)) for each in told]
            fitting = [(key, record) for key, record in made if len(record.body) <= MAX_BODY]
            after = self._derived.end.seq
            try:
                self._append(fitting)
                outcome = "Told"
                self._remember(held.consent, after, told)
            except LogFullError as error:
                _log.warning("rollups find no room", stream=name, windows=len(fitting), error=str(error))
                outcome = "NoRoom"
            held.over, self._dirty = held.over[_APPEND:], True
            self._outcomes.labels(name, outcome).inc(len(fitting))
            self._outcomes.labels(name, "TooLarge").inc(len(made) - len(fitting))

    def _taken_up(self, name: str, noted: StreamNote, since: int) -> _Stream:
        """What was noted of a stream; what of it is in the log behind number `since` has been told."""
        windows = {window.key: window for window in noted.windows}
        told = [self._told_of(name, window) for window in noted.over]
        self._remember(noted.consent, since, [each for each in told if self._derived.holds(each.id)])
        # At once: the next note is of a later end, behind which they wouldn't be found.
        over = tuple(each.window for each in told if not self._derived.holds(each.id))
        return _Stream(noted.rules, noted.consent, noted.opened, windows, over)

    def _told_of(self, stream: str, window: Window) -> Told:
        return Told(self._log.identity.site, self._log.identity.node, stream, window)

    def _append(self, records: Sequence[tuple[str, NewRecord]]) -> None:
        if records:
            self._derived.append(records)

    def _remember(self, consent: str, after: int, told: Sequence[Told]) -> None:
        if consent and told:
            self._unsent = (*self._unsent, entry_of(consent, after, self._derived.end.seq, told))

    def _take_back(self, now: datetime) -> None:
        """Take out what hasn't left the node of those who have withdrawn since it was told, or of rules that changed.

        Raises as `step` does.
        """
        if self._revoked:
            count = self._to.redact(lambda body: source_of(body) in self._revoked)
            _log.warning("rollups taken back", reason="RulesChanged", streams=sorted(self._revoked), records=count)
            self._revoked, self._dirty, self._urgent = frozenset(), True, True
        if not self._unsent:
            return
        kept = waiting(self._unsent, self._to.sent())
        consents = self._outbound.consents(now)
        if consents is not self._consents or len(kept) != len(self._unsent):
            gone, kept = taken_back(kept, consents.covers)
            ids = frozenset(identity for entry in gone for identity in entry.ids)
            if ids:
                count = self._to.redact(lambda body: id_of(body) in ids)
                self._withdrawn.inc(count)
                self._urgent = True
        self._dirty = self._dirty or kept != self._unsent
        self._unsent, self._consents = kept, consents

    def _write(self, now: datetime) -> None:
        due = self._written_at is None or not timedelta() <= now - self._written_at < NOTE_EVERY
        if not self._urgent and not (self._dirty and due):
            return
        places, end = self._tails.places, self._derived.end
        streams = {
            name: StreamNote(held.rules, held.consent, held.opened, tuple(held.windows.values()), held.over)
            for name, held in self._streams.items()
        }
        write_note(self._path, Note(FORMAT, places, end, streams, self._unsent, tuple(sorted(self._revoked))))
        self._held = {**places, ROLLUPS: end}
        self._dirty, self._urgent, self._written_at = False, False, now

    def _noted(self) -> Note:
        """What the file says. Windows are told twice for nobody's sake: where it isn't certain, they aren't told."""
        nothing = Note(FORMAT, {}, Place(), {})
        try:
            noted = read_note(self._path)
        except FileNotFoundError:
            return nothing
        except ValueError as error:
            _log.warning("open windows of rollups are lost", reason="NoteLost", error=str(error))
            return nothing
        if noted.end.epoch != self._log.epoch:
            # The log was set aside: storage was lost, copied or put back, and may have been told of these already.
            _log.warning("open windows of rollups are let go", reason="LogSetAside", epoch=noted.end.epoch)
            streams = {name: StreamNote(each.rules, each.consent, Opened()) for name, each in noted.streams.items()}
            return Note(FORMAT, noted.places, noted.end, streams, revoked=noted.revoked)
        return noted
