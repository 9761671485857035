"""Which events of a request are new: over what was stored, over what others are just storing, and among themselves."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from skerry_edge.ingest.seen_ids import SeenIds


@dataclass
class Claim:
    """What one attempt found, as indexes into its keys.

    `fresh` ones are now this attempt's to store. `known` ones are stored already. `repeats` are the same as a fresh one
    of this attempt. `waiting` ones are being stored by other attempts, whose `done` is set when it is decided.
    """

    fresh: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    repeats: list[int] = field(default_factory=list)
    waiting: list[int] = field(default_factory=list)
    others: list[threading.Event] = field(default_factory=list)
    keys: list[int | None] = field(default_factory=list)
    done: threading.Event = field(default_factory=threading.Event)


class Window:
    """The dedupe window of one stream, for several threads. Times are microseconds of a steady clock."""

    def __init__(self, seen: SeenIds) -> None:
        self._seen = seen
        self._storing: dict[int, threading.Event] = {}
        self._lock = threading.Lock()

    def resize(self, window: int, most: int) -> None:
        """Remember for longer or shorter, more or fewer, from now on."""
        with self._lock:
            self._seen.resize(window, most)

    def claim(self, keys: Sequence[int | None], now: int) -> Claim:
        """Sort keys out; None is the key of an event that can't be known again. `settle` or `release` must follow."""
        claim = Claim()
        with self._lock:
            for index, (key, seq) in enumerate(zip(keys, self._seen.find_all(keys, now), strict=True)):
                if key is None:
                    claim.fresh.append(index)
                    claim.keys.append(None)
                elif seq is not None:
                    claim.known.append(index)
                elif (other := self._storing.get(key)) is None:
                    self._storing[key] = claim.done
                    claim.fresh.append(index)
                    claim.keys.append(key)
                elif other is claim.done:
                    claim.repeats.append(index)
                else:
                    claim.waiting.append(index)
                    claim.others.append(other)
        return claim

    def settle(self, claim: Claim, seqs: range, now: int) -> None:
        """The fresh ones are durable, with these numbers."""
        with self._lock:
            stored = [(key, seq) for key, seq in zip(claim.keys, seqs, strict=True) if key is not None]
            self._seen.add(stored, now)
            for key, _ in stored:
                del self._storing[key]
        claim.done.set()

    def release(self, claim: Claim) -> None:
        """The fresh ones were not stored; whoever waits for them may try."""
        with self._lock:
            for key in claim.keys:
                if key is not None:
                    del self._storing[key]
        claim.done.set()

    def remember(self, key: int, seq: int, now: int) -> None:
        """Take up an id that the log tells of."""
        with self._lock:
            self._seen.add([(key, seq)], now)

    def forget_until(self, at: int) -> None:
        """Ids that came until then are known no more."""
        with self._lock:
            self._seen.forget_until(at)

    def reach(self, now: int) -> int:
        """How far back every id is remembered now, in microseconds."""
        with self._lock:
            return self._seen.reach(now)

    def __len__(self) -> int:
        with self._lock:
            return len(self._seen)
