"""What a site's client got, read from the file that it writes."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.e2e.story.client import Entry


@dataclass(frozen=True)
class Span:
    """Failures between two times (seconds since the epoch) are announced, and so are not counted."""

    start: float
    end: float

    def holds(self, at: float) -> bool:
        return self.start <= at <= self.end


def read(path: Path) -> Iterator[Entry]:
    """Every whole line of a ledger; a line that is being written is left for later."""
    if path.exists():
        for line in path.read_text().splitlines(keepends=True):
            if line.endswith("\n"):
                yield Entry(**json.loads(line))


def failures(entries: Iterator[Entry], announced: tuple[Span, ...] = ()) -> list[Entry]:
    """Requests that failed outside the announced spans; a request counts from its sending to its deadline."""
    return [entry for entry in entries if entry.failure and not any(span.holds(entry.at) for span in announced)]
