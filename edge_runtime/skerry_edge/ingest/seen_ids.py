"""Which producers' ids came within the window, in 28 to 56 bytes each.

An id is remembered as a keyed 64-bit BLAKE2b hash of (source, id) with the number that the event got. The key is made
anew by every process, so nobody can look for two ids with one hash; by chance, one event in 10^13 would be taken for
another's retry while a million are remembered.

Ids stand in generations, which are dropped whole: nothing is removed one by one, and an id is remembered for at least
the window, and at most a quarter longer, unless more come than there is room for; `reach` tells that.
"""

import hashlib
import secrets
from array import array
from collections import deque
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from skerry_edge.ingest.limits import MAX_PRODUCERS, MIN_IDS

_GENERATIONS = 4
_SMALLEST = 64
_KEY_BITS = 64
# Hints for each id that is remembered, a byte each: one of six new keys then looks like one that may be there.
_HINTS = 4

_KEY = secrets.token_bytes(16)


def id_key(source: str, event_id: str, key: bytes = _KEY) -> int:
    """The 64-bit hash of a producer's id; never 0."""
    whole = _begun(source, key).copy()
    whole.update(event_id.encode())
    return int.from_bytes(whole.digest(), "little") or 1


@lru_cache(MAX_PRODUCERS)
def _begun(source: str, key: bytes) -> "hashlib.blake2b":
    """The hash of all that one producer's ids have in common."""
    head = source.encode()
    return hashlib.blake2b(b"%d:%b" % (len(head), head), digest_size=8, key=key)


class _Table:
    """An open-addressing hash table from non-zero 64-bit keys to numbers."""

    def __init__(self, began: int, expected: int = 0) -> None:
        """It grows, but not before more keys are there than were expected."""
        self.began = self.latest = began
        self.count = 0
        slots = max(_SMALLEST, 1 << (3 * expected // 2).bit_length())
        self._keys = array("Q", bytes(8 * slots))
        self._values = array("Q", bytes(8 * slots))

    def get(self, key: int) -> int | None:
        keys = self._keys
        mask = len(keys) - 1
        at = key & mask
        while held := keys[at]:
            if held == key:
                return self._values[at]
            at = (at + 1) & mask
        return None

    @property
    def keys(self) -> NDArray[np.uint64]:
        """All keys, in no order."""
        slots = np.array(self._keys, dtype=np.uint64)
        keys: NDArray[np.uint64] = slots[slots != 0]
        return keys

    def put(self, pairs: Iterable[tuple[int, int]]) -> None:
        """Add keys, each with its number, or give them other numbers."""
        for key, value in pairs:
            if 3 * self.count >= 2 * len(self._keys):
                self._grow()
            slots = self._keys
            mask = len(slots) - 1
            at = key & mask
            while (held := slots[at]) and held != key:
                at = (at + 1) & mask
            slots[at], self._values[at] = key, value
            if not held:
                self.count += 1

    def _grow(self) -> None:
        larger = _Table(self.began, self.count + 1)
        larger.put((key, value) for key, value in zip(self._keys, self._values, strict=True) if key)
        self._keys, self._values = larger._keys, larger._values


class SeenIds:
    """Ids of one stream. Used under its owner's lock; times are microseconds of a clock that never goes back."""

    def __init__(self, window: int, most: int = MIN_IDS) -> None:
        """`window` is in microseconds; about `most` ids are remembered."""
        self._tables: deque[_Table] = deque()
        self._forgotten: int | None = None
        self.resize(window, most)

    def resize(self, window: int, most: int) -> None:
        """Remember for longer or shorter from now on."""
        self._window = window
        self._most = max(_GENERATIONS, most)
        self._hint()

    def reach(self, now: int) -> int:
        """How far back every id is remembered, in microseconds: the window, or less if there was no room for it."""
        self._drop_old(now)
        return self._window if self._forgotten is None else min(self._window, max(0, now - self._forgotten))

    def forget_until(self, at: int) -> None:
        """Ids that came until then are known no more."""
        self._forgotten = at if self._forgotten is None else max(self._forgotten, at)

    def _hint(self) -> None:
        """Note which first bits the keys have that are there: most keys are new, and then no table is looked into."""
        bits = (_HINTS * self._most - 1).bit_length()
        self._shift = _KEY_BITS - bits
        hints = np.zeros(1 << bits, dtype=np.uint8)
        for table in self._tables:
            hints[table.keys >> np.uint64(self._shift)] = 1
        self._hints = bytearray(hints)

    def find(self, key: int, now: int) -> int | None:
        """The number that the id's event got; None if it is not known (any more)."""
        return self.find_all((key,), now)[0]

    def find_all(self, keys: Sequence[int | None], now: int) -> list[int | None]:
        """The same of several; None of None."""
        self._drop_old(now)
        hints, shift = self._hints, self._shift
        return [None if key is None or not hints[key >> shift] else self._look_for(key) for key in keys]

    def _look_for(self, key: int) -> int | None:
        for table in reversed(self._tables):
            if (seq := table.get(key)) is not None:
                return seq
        return None

    def add(self, pairs: Sequence[tuple[int, int]], now: int) -> None:
        """Remember ids, each with its event's number."""
        at = 0
        while at < len(pairs):
            room = self._room(now)
            newest = self._tables[-1]
            newest.put(pairs[at : at + room])
            newest.latest = max(newest.latest, now)
            at += room
        for key, _ in pairs:
            self._hints[key >> self._shift] = 1

    def _room(self, now: int) -> int:
        """How many ids the newest generation takes yet; it is another one if it was full, or for its age."""
        newest = self._tables[-1] if self._tables else None
        if (
            newest is None
            or _GENERATIONS * (now - newest.began) >= self._window
            or _GENERATIONS * newest.count >= self._most
        ):
            # Growing is most of what adding costs.
            newest = _Table(now, expected=0 if newest is None else newest.count)
            self._tables.append(newest)
            self._drop_old(now)
        return -(-self._most // _GENERATIONS) - newest.count

    def __len__(self) -> int:
        return sum(table.count for table in self._tables)

    def _drop_old(self, now: int) -> None:
        """Drop generations that ended before the window, or that there is no room for."""
        tables, before = self._tables, len(self._tables)
        while tables and _GENERATIONS * (now - tables[0].began - self._window) >= self._window:
            self.forget_until(tables.popleft().latest)
        while len(tables) > 1 and (now - tables[1].began >= self._window or len(self) - tables[0].count >= self._most):
            self.forget_until(tables.popleft().latest)
        if len(tables) < before:
            self._hint()
