"""Follows the live logs of several streams, each from its own place on."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from skerry_edge.events.follow import Place, Stretch, Tail
from skerry_edge.events.identity import LogIdentity


class Tails:
    """Used by one thread."""

    def __init__(self, roots: Sequence[Path], places: Mapping[str, Place]) -> None:
        """`roots` hold the streams' folders, `places` are up to where streams were read before."""
        self._roots = roots
        self._places = dict(places)
        self._tails: dict[str, Tail] = {}

    @property
    def places(self) -> dict[str, Place]:
        """By stream, up to where its log has been read; streams that aren't followed any more are left out."""
        return dict(self._places)

    def follow(self, streams: Iterable[str], *, whole: bool = False) -> None:
        """Follow these and no others. Raises OSError.

        One that wasn't followed before is read from where its log ends now, or `whole`.
        """
        wanted = frozenset(streams)
        for name in wanted - self._tails.keys():
            self._tails[name] = Tail(self._folder(name))
        for name in self._tails.keys() - wanted:
            del self._tails[name]
        fresh = self._tails.keys() - self._places.keys()
        ends = {name: Place() if whole else self._tails[name].end() for name in fresh}
        # Replaced whole: other threads read it.
        self._places = ends | {name: place for name, place in self._places.items() if name in wanted}

    def read(self, stream: str, max_records: int) -> Stretch | None:
        """What follows a stream's place; None if there is nothing new. Raises OSError."""
        return self._tails[stream].read(self._places[stream], max_records)

    def identity(self, stream: str) -> LogIdentity | None:
        """Which log a stream's is as of now; None if there is none. Raises OSError."""
        return self._tails[stream].identity

    def move(self, stream: str, place: Place) -> None:
        """All up to `place` has been dealt with."""
        self._places = {**self._places, stream: place}

    def _folder(self, stream: str) -> Path:
        folders = [root / stream for root in self._roots]
        return next((folder for folder in folders if folder.is_dir()), folders[0])
