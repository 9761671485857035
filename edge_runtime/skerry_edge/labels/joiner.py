"""Labels joined to the predictions of this node. All of it is in memory: the logs are what is kept, and are read again.

A label for another node's prediction is counted and left to the hub, which has both. A prediction becomes durable up to
50 ms after its answer, so a label may be there first: it waits, and is marked as one of an unknown prediction if that
doesn't come.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from skerry_core.labels.feedback import Feedback, merged
from skerry_core.labels.standing import Predicted
from skerry_edge.ingest.label import Label
from skerry_edge.labels.predictions import Key

# Predictions that are held with what labels say of them; a label for an older one, by when it was labelled, is gone.
MOST = 20_000
MOST_WAITING = 4096
WAIT_SECONDS = 60.0


@dataclass
class Counts:
    """Labels since the process began: read, those that said nothing new, those for predictions made elsewhere."""

    read: int = 0
    repeated: int = 0
    elsewhere: int = 0
    forgotten: int = 0


@dataclass
class Joiner:
    """Used by one thread. `find` looks predictions up; `own` is the site and node whose predictions these are."""

    own: tuple[str, str]
    find: Callable[[Iterable[Key]], Mapping[Key, Predicted]]
    most: int = MOST
    counts: Counts = field(default_factory=Counts)
    feedback: dict[Key, Feedback] = field(default_factory=dict)
    predicted: dict[Key, Predicted] = field(default_factory=dict)
    _waiting: dict[Key, float] = field(default_factory=dict)

    def take(self, labels: Iterable[tuple[Label, Feedback]], now: float) -> bool:
        """Merge labels, and look up the predictions that are new; whether anything changed. Raises OSError.

        `now` is in seconds of a clock that never goes back.
        """
        changed = False
        for said, feedback in labels:
            self.counts.read += 1
            about = said.prediction
            if (about.site, about.node) != self.own:
                self.counts.elsewhere += 1
                continue
            key = about.epoch, about.seq
            known = self.feedback.get(key)
            together = feedback if known is None else merged(known, feedback)
            self.counts.repeated += known is not None and together.opinions == known.opinions
            changed = changed or together != known
            self.feedback[key] = together
            if known is None:
                self._waiting[key] = now + WAIT_SECONDS
        self.look(now)
        while len(self.feedback) > self.most:
            self._forget(next(iter(self.feedback)))
        return changed

    def look(self, now: float) -> bool:
        """Look once more for predictions that weren't there; whether any is. Raises OSError."""
        if not self._waiting:
            return False
        found = self.find(self._waiting)
        self.predicted.update(found)
        waiting = {key: until for key, until in self._waiting.items() if key not in found and now < until}
        # The newest ones: their predictions may be a moment away.
        self._waiting = dict(list(waiting.items())[-MOST_WAITING:])
        return bool(found)

    def joined(self) -> Iterable[tuple[Feedback, Predicted | None]]:
        """Every prediction that labels tell of, and what they say."""
        return ((feedback, self.predicted.get(key)) for key, feedback in self.feedback.items())

    def clear(self) -> None:
        """Forget all, to read the logs again."""
        self.feedback, self.predicted, self._waiting = {}, {}, {}

    def _forget(self, key: Key) -> None:
        del self.feedback[key]
        self.predicted.pop(key, None)
        self._waiting.pop(key, None)
        self.counts.forgotten += 1
