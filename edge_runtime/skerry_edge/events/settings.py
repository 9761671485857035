"""What a stream's log is told, what it says of itself, and how it refuses."""

from dataclasses import dataclass
from datetime import timedelta

from skerry_core.errors import RetryError, WaitError


@dataclass(frozen=True)
class StreamSettings:
    """A stream's name (lower-case letters, digits, dashes), its tier (0 is refused last, 4 first), and its limits."""

    name: str
    tier: int
    max_age: timedelta
    max_bytes: int


@dataclass(frozen=True)
class LogStatus:
    """A log as of now.

    Numbers from `first_seq` to `next_seq` - 1 are here but for holes. `dropped` counts records of `append_soon` that
    found no room, `refused` those of `append`; `failed_syncs` each led to a new segment. `torn` bytes were cut from
    the tail at start and never acknowledged. `damaged` bytes are fenced, each counted once in the log's life;
    `damaged_ranges` are the numbers (first, last) that this process found them to cost. `expired` records, up to
    number `expired_seq`, were removed by age, sent or not.
    """

    name: str
    epoch: str
    first_seq: int
    next_seq: int
    size: int
    dropped: int
    refused: int
    failed_syncs: int
    torn: int
    damaged: int
    damaged_ranges: tuple[tuple[int, int], ...]
    expired: int
    expired_seq: int


class LogFullError(WaitError):
    """The disk or the stream is full: nothing was stored, and nothing stored before was touched."""

    def __init__(self, message: str) -> None:
        super().__init__("LogFull", message)


class LogFailedError(RetryError):
    """The disk failed: nothing of this call is acknowledged, and its numbers are never given to other records."""

    def __init__(self, message: str) -> None:
        super().__init__("LogFailed", message)
