"""One version's course through its stream's logs: read, apply, and what a commit of it says."""

from collections.abc import Mapping, Sequence

import structlog

from skerry_core.features.normalize import Refusal
from skerry_edge.events.follow import Place
from skerry_edge.events.record import FIRST_SEQ
from skerry_edge.features.batches import Run, runs
from skerry_edge.features.clock import Clock
from skerry_edge.features.feed import Feed, has_reached
from skerry_edge.features.letters import MAX_LETTERS, letter_of
from skerry_edge.features.needed import Needed
from skerry_edge.features.note import Letter, VersionNote
from skerry_edge.features.ports import Change, Withdrawals
from skerry_edge.features.version import Version

# Records in one step, so that none keeps the others waiting: a few milliseconds. Of a quarter each takes twice as long.
READ = 1024

_log = structlog.get_logger(__name__)


class Course:
    """Used by one thread, but for what says otherwise."""

    def __init__(self, version: Version, feed: Feed, note: VersionNote, clock: Clock, *, fresh: bool = False) -> None:
        """Go on where the note says; a `fresh` one has yet to be kept. Raises OSError."""
        self.version = version
        self.warm = note.warm
        self.begun = note.begun
        # Whether another node's snapshot would help it yet.
        self.seeks = note.seeks
        self.behind = 0
        # What a bug did to this version alone: it goes no further, and says so.
        self.failure = ""
        # Up to where the newest snapshot is, once there is one: a store that is damaged goes on from there.
        self.saved: Mapping[str, int] | None = None
        self._feed = feed
        self._note = note
        self._clock = clock
        self._position = dict(note.position)
        # As of the last commit.
        self._kept = self._noted_position = dict(note.position)
        self._target: Place | None = None
        # Where the live log was last seen to end when nothing more was read, and up to where that is sure to be all.
        self._ended = self._spent = Place()
        # Uptime at which the live log was last seen to end where the position is.
        self._followed: int | None = None
        self._letters: list[Letter] = []
        self._noted: list[Letter] = list(note.letters)
        self._changed = fresh
        self._data_class, self._withdrawn = note.data_class, note.withdrawn

    @property
    def changed(self) -> bool:
        """Whether a commit would say anything new."""
        return self._changed or bool(self.version.dirty)

    @property
    def letters(self) -> Sequence[Letter]:
        """Noted by the last commit, and to be written now."""
        return self._noted

    @property
    def needed(self) -> Needed:
        """What of the logs must stay for it, were the process to die now."""
        epoch = self._feed.epoch
        durable = self._kept if self.saved is None else self.saved
        place = Place(epoch, durable.get(epoch, FIRST_SEQ) - 1)
        behind = self._kept != self._position or (self.saved is not None and epoch not in self.saved)
        return Needed(place, self._feed.aside_left or behind)

    @property
    def epochs(self) -> frozenset[str]:
        """Logs whose events are, or will be, in it. Raises OSError."""
        return self._feed.epochs() | frozenset(self._position)

    # By any thread

    def log_end(self) -> Place:
        """Where the live log ends by now. Raises OSError."""
        return self._feed.end_for_others()

    def has_applied(self, end: Place) -> bool:
        """Whether all of the logs up to `end` is in the states, but for what damage or age took."""
        spent = {self._spent.epoch: self._spent.seq + 1}
        return not self._feed.aside_left and (has_reached(self._position, end) or has_reached(spent, end))

    # By the one thread

    def give_up(self) -> None:
        """Seek no longer."""
        self.seeks, self._changed = False, True

    def step(self) -> bool:
        """Apply what comes next in the logs, if anything does; whether there may be more. Raises OSError."""
        if self._target is None:
            self._target = self._feed.end()
        looked = self._clock.uptime()
        chunk = self._feed.read(self._position, READ)
        if chunk is None:
            # All that was there at the target's time has been applied; what damage or age took never comes.
            self._become_warm()
            self._followed, self.behind = looked, 0
            end = self._feed.end()
            if end == self._ended:
                self._spent = end  # it ended there before this read already
            self._ended = end
            return False
        followed = self._followed if chunk.live else None
        for run in runs(chunk.batches):
            place = Place(chunk.behind.epoch, run.last)
            if run.seqs:
                refused = self.version.apply(run.events, place, self._clock.read(), followed)
                self._refuse(refused, place.epoch, run)
            self._position[place.epoch] = run.last + 1
        self._changed = True
        end = self._feed.end()
        self.behind = max(0, end.seq - chunk.behind.seq) if chunk.live else end.seq
        if chunk.live and has_reached(self._position, self._target):
            self._become_warm()
        if not self.behind:
            self._followed = looked
        return bool(self.behind) or not chunk.live

    def withdraw(self, withdrawals: Withdrawals) -> bool:
        """Forget those whose events were redacted since the last time; whether there may be any. Raises OSError.

        Where the set's key doesn't tell whose events are in which state all of it goes, and is computed again from what
        the logs still hold.
        """
        stream = self.version.engine.document.stream
        data_class, place, subjects = withdrawals(stream, self._data_class, self._withdrawn)
        if (data_class, place) == (self._data_class, self._withdrawn):
            return False
        self._data_class, self._withdrawn, self._changed = data_class, place, True
        count = self.version.purge(subjects) if subjects else 0
        # Dead letters on their way may hold what was redacted.
        self._letters = [] if subjects else self._letters
        if subjects and not self.version.engine.by_subject:
            self.version.adopted = None
            if self._position:
                self._position, self._target, self._followed, self.warm = {}, None, None, False
                self._ended = self._spent = Place()
                self._feed.restart()
        if count:
            _log.info("consent withdrawn, features are gone", digest=self.version.digest, entities=count)
        return bool(subjects)

    def change(self, letters_end: Place) -> Change:
        """What is to be committed now; `letters_end` is where the dead-letter log ends."""
        self._noted = list(self._letters)
        self._noted_position = dict(self._position)
        note = VersionNote(
            self._note.document,
            self._noted_position,
            self.warm,
            self._noted,
            letters_end,
            self._data_class,
            self._withdrawn,
            self.begun,
            self.seeks,
            self.version.adopted,
        )
        return Change(self.version.digest, note, self.version.pending())

    def committed(self) -> None:
        """What `change` gave is kept."""
        self.version.committed()
        self._kept = self._noted_position
        self._letters = self._letters[len(self._noted) :]
        self._changed = bool(self._noted)

    def _become_warm(self) -> None:
        self._changed = self._changed or not self.warm
        self.warm = True

    def _refuse(self, refused: Sequence[Refusal], epoch: str, run: Run) -> None:
        """Only what came while this version was followed: a new one doesn't report the whole past once more."""
        if not self.warm:
            return
        for refusal in refused:
            if len(self._letters) >= MAX_LETTERS:
                self.version.counts.letters_lost += 1
                continue
            document, index = self.version.engine.document, refusal.row
            self._letters.append(letter_of(document, epoch, run.seqs[index], refusal, run.events.bodies[index]))
