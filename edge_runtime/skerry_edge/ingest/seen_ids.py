"""Which producers' ids came within the window, in 24 to 48 bytes each.

An id is remembered as a keyed 64-bit BLAKE2b hash of (source, id) with the number that the event got. The key is made
anew by every process, so nobody can look for two ids with one hash; by chance, one event in 10^13 would be taken for
another's retry while a million are remembered.

Ids stand in generations, which are dropped whole: nothing is removed one by one, and an id is remembered for at least
the window, and at most a quarter longer, unless more come than there is room for.
"""

import hashlib
import secrets
from array import array
from collections import deque
from collections.abc import Sequence
from functools import lru_cache

from skerry_edge.ingest.limits import MAX_PRODUCERS, MIN_IDS

_GENERATIONS = 4
_SMALLEST = 64

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
    """An open-addressing hash table from a non-zero 64-bit key to a number."""

    def __init__(self, began: int) -> None:
        self.began = began
        self.count = 0
        self._keys = array("Q", bytes(8 * _SMALLEST))
        self._values = array("Q", bytes(8 * _SMALLEST))

    def get(self, key: int) -> int | None:
        keys = self._keys
        mask = len(keys) - 1
        at = key & mask
        while found := keys[at]:
            if found == key:
                return self._values[at]
            at = (at + 1) & mask
        return None

    def put(self, key: int, value: int) -> None:
        if 3 * self.count >= 2 * len(self._keys):
            self._grow()
        if self._insert(key, value):
            self.count += 1

    def _insert(self, key: int, value: int) -> bool:
        keys = self._keys
        mask = len(keys) - 1
        at = key & mask
        while (found := keys[at]) and found != key:
            at = (at + 1) & mask
        keys[at], self._values[at] = key, value
        return not found

    def _grow(self) -> None:
        old_keys, old_values = self._keys, self._values
        self._keys = array("Q", bytes(16 * len(old_keys)))
        self._values = array("Q", bytes(16 * len(old_keys)))
        for key, value in zip(old_keys, old_values, strict=True):
            if key:
                self._insert(key, value)


class SeenIds:
    """Ids of one stream. Used under its owner's lock; times are microseconds of a clock that never goes back."""

    def __init__(self, window: int, most: int = MIN_IDS) -> None:
        """`window` is in microseconds; about `most` ids are remembered."""
        self.resize(window, most)
        self._tables: deque[_Table] = deque()

    def resize(self, window: int, most: int) -> None:
        """Remember for longer or shorter from now on."""
        self._window = window
        self._most = max(_GENERATIONS, most)

    def find(self, key: int, now: int) -> int | None:
        """The number that the id's event got; None if it is not known (any more)."""
        return self.find_all((key,), now)[0]

    def find_all(self, keys: Sequence[int | None], now: int) -> list[int | None]:
        """The same of several; None of None."""
        self._drop_old(now)
        gets = [table.get for table in reversed(self._tables)]
        found: list[int | None] = []
        for key in keys:
            seq = None
            if key is not None:
                for get in gets:
                    if (seq := get(key)) is not None:
                        break
            found.append(seq)
        return found

    def add(self, key: int, seq: int, now: int) -> None:
        """Remember an id."""
        newest = self._tables[-1] if self._tables else None
        if (
            newest is None
            or _GENERATIONS * (now - newest.began) >= self._window
            or _GENERATIONS * newest.count >= self._most
        ):
            newest = _Table(now)
            self._tables.append(newest)
            self._drop_old(now)
        newest.put(key, seq)

    def __len__(self) -> int:
        return sum(table.count for table in self._tables)

    def _drop_old(self, now: int) -> None:
        """Drop generations that ended before the window, or that there is no room for."""
        tables = self._tables
        while tables and _GENERATIONS * (now - tables[0].began - self._window) >= self._window:
            tables.popleft()
        while len(tables) > 1 and (now - tables[1].began >= self._window or len(self) - tables[0].count >= self._most):
            tables.popleft()
