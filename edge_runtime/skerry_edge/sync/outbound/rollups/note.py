"""What the loop of rollups keeps on disk: in one file, so that states and places are of one moment."""

import zlib
from pathlib import Path

import msgspec

from skerry_core.durable import write_file
from skerry_edge.events.follow import Place
from skerry_edge.sync.outbound.rollups.unsent import Entry
from skerry_edge.sync.outbound.rollups.windows import Opened, Window

FORMAT = 1


class StreamNote(msgspec.Struct, frozen=True, array_like=True):
    """One stream: windows that are open, and those that are over and may be in the log by now.

    `rules` stands for what its data class said when the values were taken, `consent` is that class if it needs consent.
    """

    rules: str
    consent: str
    opened: Opened
    windows: tuple[Window, ...] = ()
    over: tuple[Window, ...] = ()


class Note(msgspec.Struct, frozen=True, array_like=True):
    """By stream up to where it was read, and what came of that; `end` is where the log of rollups ended, or before.

    `unsent` is what was told of entities that may yet withdraw; `revoked` are streams of which nothing that was told
    may leave: it was taken by other rules.
    """

    format: int
    places: dict[str, Place]
    end: Place
    streams: dict[str, StreamNote]
    unsent: tuple[Entry, ...] = ()
    revoked: tuple[str, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Note).decode


def write_note(path: Path, note: Note) -> None:
    """Write it durably, checksummed. Raises OSError."""
    data = _encode(note)
    write_file(path, zlib.crc32(data).to_bytes(4, "little") + data, mode=0o600)


def read_note(path: Path) -> Note:
    """Raises FileNotFoundError, OSError, and ValueError for anything else than a note that this code wrote."""
    data = path.read_bytes()
    if int.from_bytes(data[:4], "little") != zlib.crc32(data[4:]):
        raise ValueError("the note's checksum is wrong")
    note = _decode(data[4:])
    if note.format != FORMAT:
        raise ValueError(f"the note has format {note.format}, not {FORMAT}")
    return note
