"""How many bytes each kind of traffic used, and what its budget still allows. Pure but for its own memory.

Time here is seconds on an axis that only moves forward (`skerry_edge.sync.steady`), so that a clock which is set
neither opens nor shuts a budget. Windows roll: what was used counts until it is surely older than the window, which is
BUCKET seconds more at most. So no hour and no day, wherever it begins, has more than its budget.

One exception, which has to be: a single record that is larger than the budget of an hour. It may go once it fits into
k hours' budgets, k at most CARRY_HOURS, and afterwards the hours stay empty until any k hours together are within k
budgets again.
"""

import math
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from skerry_core.sync_policy.document import Budget

HOUR = 3600
DAY = 24 * HOUR
BUCKET = 300
CARRY_HOURS = 24
# The most that a budget a second lets pile up: what then goes at once takes this long at that rate.
BURST_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Reservation:
    """Bytes that are set aside for one exchange before its first byte leaves."""

    kind: str
    size: int
    at: float


@dataclass(slots=True)
class _Used:
    """One kind's use: [bucket, bytes] oldest first, their sum, and the level of its tokens (negative: a debt)."""

    buckets: deque[list[int]] = field(default_factory=deque)
    total: int = 0
    tokens: float = 0.0
    filled_at: float | None = None

    def add(self, index: int, size: int) -> None:
        """Count bytes in a bucket, or in the newest after it; a negative size is taken off where it was counted."""
        self.total += size
        for entry in reversed(self.buckets):
            if entry[0] == index:
                entry[1] += size
                return
            if entry[0] < index:
                break
        if size < 0:
            self.total -= size
        elif self.buckets and index < self.buckets[-1][0]:
            self.buckets[-1][1] += size
        else:
            self.buckets.append([index, size])

    def forget(self, at: float) -> None:
        """Drop what is older than a day."""
        while self.buckets and _expires(self.buckets[0][0], DAY) <= at:
            self.total -= self.buckets.popleft()[1]

    def within(self, seconds: int, at: float) -> int:
        """Bytes of the last `seconds`."""
        newest_gone = (at - seconds) / BUCKET - 1
        used = 0
        for index, size in reversed(self.buckets):
            if index <= newest_gone:
                break
            used += size
        return used


class Ledger:
    """Use by kind of traffic (a tier, the downloads)."""

    def __init__(self) -> None:
        self._kinds: dict[str, _Used] = {}

    def used(self, kind: str, seconds: int, at: float) -> int:
        """Bytes used in the last `seconds`, a day at most, reservations included."""
        used = self._of(kind, at)
        return used.total if seconds == DAY else used.within(seconds, at)

    def reserve(self, kind: str, size: int, at: float, budget: Budget) -> Reservation:
        """Set bytes aside; whether they fit was asked before, by `room` and `wait`."""
        used = self._of(kind, at)
        if budget.bytes_per_second is not None:
            used.tokens = self._tokens(kind, budget.bytes_per_second, at) - size
            used.filled_at = at
        used.add(int(at // BUCKET), size)
        return Reservation(kind, size, at)

    def settle(self, reservation: Reservation, actual: int, at: float) -> None:
        """Count what really went instead of what was set aside, as of its end."""
        used = self._of(reservation.kind, at)
        used.add(int(reservation.at // BUCKET), -reservation.size)
        used.add(int(at // BUCKET), actual)
        if used.filled_at is not None:
            used.tokens += reservation.size - actual

    def spend(self, kind: str, size: int, at: float) -> None:
        """Count bytes that nothing was set aside for."""
        self._of(kind, at).add(int(at // BUCKET), size)

    def room(self, kind: str, budget: Budget, at: float, spare: float = 0.0) -> int | None:
        """The most that may be set aside now, `spare` of the hour's and the day's budget left; None without a limit."""
        rooms = []
        if budget.bytes_per_day is not None:
            rooms.append(_spared(budget.bytes_per_day, 0, spare) - self.used(kind, DAY, at))
        if budget.bytes_per_hour is not None:
            rooms.append(_spared(budget.bytes_per_hour, 0, spare) - self.used(kind, HOUR, at))
            rooms += [limit - used for limit, used in self._carried(kind, budget.bytes_per_hour, at)]
        if budget.bytes_per_second is not None:
            rooms.append(int(self._tokens(kind, budget.bytes_per_second, at)))
        return max(min(rooms), 0) if rooms else None

    def wait(self, kind: str, budget: Budget, size: int, at: float, spare: float = 0.0) -> float | None:
        """Seconds until `size` bytes may be set aside, if nothing else is; None: never, within this budget.

        A share `spare` of the budgets of an hour and a day is to stay free, but not by what wouldn't fit otherwise.
        """
        waits = [0.0]
        if budget.bytes_per_day is not None:
            if size > budget.bytes_per_day:
                return None
            waits.append(self._until(kind, DAY, _spared(budget.bytes_per_day, size, spare), size, at))
        if budget.bytes_per_hour is not None:
            limit = budget.bytes_per_hour
            first = max(math.ceil(size / limit), 1)
            if first > CARRY_HOURS:
                return None
            waits.append(self._until(kind, first * HOUR, _spared(first * limit, size, spare), size, at))
            if first > 1 or self._carries(kind, limit, at):
                waits += [
                    self._until(kind, hours * HOUR, hours * limit, size, at)
                    for hours in range(first + 1, CARRY_HOURS + 1)
                ]
        if budget.bytes_per_second is not None:
            rate = budget.bytes_per_second
            # What is larger than the tokens can ever be goes when they are full, and leaves a debt.
            lacking = min(size, rate * BURST_SECONDS) - self._tokens(kind, rate, at)
            waits.append(max(lacking / rate, 0.0))
        return max(waits)

    def state(self, at: float) -> dict[str, list[list[int]]]:
        """What has to outlive the process."""
        return {kind: [list(entry) for entry in self._of(kind, at).buckets if entry[1]] for kind in self._kinds}

    @classmethod
    def restored(cls, state: Mapping[str, list[list[int]]]) -> "Ledger":
        """What `state` gave. Raises ValueError, TypeError or AttributeError if it is something else."""
        ledger = cls()
        for kind, buckets in state.items():
            used = ledger._kinds.setdefault(str(kind), _Used())
            for index, size in sorted((int(index), int(size)) for index, size in buckets):
                used.add(index, max(size, 0))
        return ledger

    def _of(self, kind: str, at: float) -> _Used:
        used = self._kinds.get(kind)
        if used is None:
            used = self._kinds[kind] = _Used()
        used.forget(at)
        return used

    def _carries(self, kind: str, limit: int, at: float) -> bool:
        """Whether a record larger than the limit of an hour still weighs on the hours after it."""
        used = self._of(kind, at)
        return used.total > limit and any(size > limit for _, size in used.buckets)

    def _carried(self, kind: str, limit: int, at: float) -> Iterator[tuple[int, int]]:
        """Limit and use of two hours and more, where they count."""
        if self._carries(kind, limit, at):
            used = self._of(kind, at)
            yield from ((hours * limit, used.within(hours * HOUR, at)) for hours in range(2, CARRY_HOURS + 1))

    def _tokens(self, kind: str, rate: int, at: float) -> float:
        used = self._of(kind, at)
        if used.filled_at is None:
            # A process that starts has nothing piled up: what the one before it sent in the last seconds isn't known.
            used.filled_at = at
        return min(used.tokens + (at - used.filled_at) * rate, float(rate * BURST_SECONDS))

    def _until(self, kind: str, seconds: int, limit: int, size: int, at: float) -> float:
        """Seconds until the use of a window leaves room for `size` bytes, which are within `limit`."""
        used = self._of(kind, at)
        excess = used.within(seconds, at) + size - limit
        if excess <= 0:
            return 0.0
        for index, freed in used.buckets:
            expires = _expires(index, seconds)
            if expires > at:
                excess -= freed
                if excess <= 0:
                    return expires - at
        raise AssertionError("a window without use has room for what is within its limit")


def _expires(index: int, seconds: int) -> float:
    """When a bucket's bytes stop to count in a window of `seconds`."""
    return float((index + 1) * BUCKET + seconds)


def _spared(limit: int, size: int, spare: float) -> int:
    return max(size, math.floor(limit * (1 - spare)))
