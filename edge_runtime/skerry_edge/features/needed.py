"""What features have yet to read of the streams' logs, as a file: sync must not free it. It is no promise, only a wish.

Written after a commit, so it is never ahead of what is durable. An older note asks for more than is needed, a missing
one for nothing.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import structlog

from skerry_core.durable import write_file
from skerry_edge.events.follow import Place

NAME = "needed.json"
_MAX_BYTES = 1 << 20

_log = structlog.get_logger(__name__)


class Needed(msgspec.Struct, frozen=True):
    """Of one stream: everything behind `place`; `aside` if logs that were set aside are still to be read, too."""

    place: Place
    aside: bool = False


@dataclass(frozen=True)
class Wishes:
    """By stream what features need; `unknown` if their note can't be read: then they may need anything."""

    streams: Mapping[str, Needed]
    unknown: bool = False

    def needs_after(self, stream: str, epoch: str) -> int | None:
        """The number behind which records of a stream's live log are needed; None if none are."""
        if self.unknown:
            return 0
        needed = self.streams.get(stream)
        if needed is None:
            return None
        return needed.place.seq if needed.place.epoch == epoch else 0

    def needs_aside(self, stream: str, epoch: str) -> bool:
        """Whether a log that was set aside has something to be read."""
        needed = self.streams.get(stream)
        return self.unknown or (needed is not None and (needed.aside or needed.place.epoch == epoch))


def joined(needs: Iterable[tuple[str, Needed]]) -> dict[str, Needed]:
    """By stream what several readers need; readers of different epochs need all. Pure."""
    found: dict[str, Needed] = {}
    for stream, needed in needs:
        other = found.get(stream, needed)
        if needed.place.epoch != other.place.epoch:
            found[stream] = Needed(Place(), aside=True)
            continue
        place = min(needed.place, other.place, key=lambda place: place.seq)
        found[stream] = Needed(place, needed.aside or other.aside)
    return found


def write_needed(folder: Path, streams: Mapping[str, Needed]) -> None:
    """Write the note durably. Raises OSError."""
    write_file(folder / NAME, msgspec.json.encode(dict(streams)))


def read_needed(folder: Path) -> Wishes:
    """The note as it is now."""
    try:
        with (folder / NAME).open("rb") as file:
            return Wishes(_decode(file.read(_MAX_BYTES)))
    except FileNotFoundError:
        return Wishes({})
    except (OSError, ValueError, RecursionError) as error:
        _log.warning("what features have yet to read can't be told", error=str(error)[:200])
        return Wishes({}, unknown=True)


_decode = msgspec.json.Decoder(dict[str, Needed]).decode
