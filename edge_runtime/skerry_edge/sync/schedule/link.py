"""What is known of the way to the store from how exchanges ended. Pure."""

from dataclasses import dataclass, replace

from skerry_core import backoff

# A batch is cut so that it takes about so long: a slow link isn't taken for long then, and what an interruption costs
# is bounded. Where that is less than LEAST, batches have LEAST.
SECONDS = 10.0
LEAST = 4096
MOST = 4 << 20
# An exchange below this says more about delays than about a rate.
_TELLING = 16_384
_NEWEST = 0.3


@dataclass(frozen=True, slots=True)
class LinkHealth:
    """Failures in a row, when to try again (on the ledger's axis), bytes a batch may have, and bytes a second."""

    failures: int = 0
    retry_at: float = 0.0
    batch_limit: int = MOST
    rate: float | None = None

    def succeeded(self, size: int, seconds: float) -> "LinkHealth":
        """State after an exchange of `size` bytes: the limit doubles, as far as the rate allows."""
        rate = self.rate
        if size >= _TELLING and seconds > 0:
            found = size / seconds
            rate = found if rate is None else (1 - _NEWEST) * rate + _NEWEST * found
        most = MOST if rate is None else int(min(max(rate * SECONDS, LEAST), MOST))
        return LinkHealth(0, 0.0, min(self.batch_limit * 2, most), rate)

    def reached(self) -> "LinkHealth":
        """State after an exchange that tells nothing of how fast batches go."""
        return replace(self, failures=0, retry_at=0.0)

    def failed(self, at: float, dice: float, size: int = 0) -> "LinkHealth":
        """State after one that broke off once `size` bytes had gone; `dice` in [0, 1) spreads a pause that grows.

        The limit becomes half of what was too much: after a fast link's, a slow one would break off many times before.
        """
        failures = self.failures + 1
        retry_at = at + backoff.delay(failures, dice).total_seconds()
        too_much = min(self.batch_limit, size) if size >= _TELLING else self.batch_limit
        return LinkHealth(failures, retry_at, max(too_much // 2, LEAST), self.rate)

    def retry_now(self) -> "LinkHealth":
        """State when something has changed that may have been the cause."""
        return replace(self, retry_at=0.0)
