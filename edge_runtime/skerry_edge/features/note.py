"""What is kept of a version and of its entities, as bytes."""

import hashlib
import struct
import zlib
from dataclasses import dataclass

import msgspec

from skerry_edge.events.follow import Place

FORMAT = 2
# Names of LMDB's keys are at most 511 bytes long; a longer key is known by its hash.
MAX_KEY = 511

NO_ANCHOR = -(1 << 62)
"""In place of an anchor that nobody knows."""

_HEADER = struct.Struct("<IqqQ")


class Letter(msgspec.Struct, frozen=True):
    """A dead letter on its way: `id` tells it from all others, `body` is its record's."""

    id: str
    body: bytes


class Adopted(msgspec.Struct, frozen=True):
    """Another node's snapshot that was taken over: its file's digest, and when it was made by that node's clock (µs).

    `epochs` are the logs whose events are in it.
    """

    node: str
    snapshot: str
    made: int
    epochs: tuple[str, ...] = ()


class VersionNote(msgspec.Struct, frozen=True):
    """One version: its document's bytes, and by epoch of its stream's logs the number of the next record to apply.

    `warm`: it had caught up once. `letters` are dead letters that may be in the log behind `letters_since` by now.
    """

    document: bytes
    position: dict[str, int] = {}
    warm: bool = False
    letters: list[Letter] = []
    letters_since: Place = Place()
    # Withdrawals of consent that were acted on: in this data class of the stream, up to a place of the consent log.
    data_class: str = ""
    withdrawn: Place = Place()
    # When this node began to compute it (µs since 1970), and whether another node's snapshot would help it yet.
    begun: int = 0
    seeks: bool = False
    adopted: Adopted | None = None
    # In snapshots only: which node made it, and when (µs since 1970).
    made_by: str = ""
    made: int = 0
    format: int = FORMAT

    @property
    def epochs(self) -> frozenset[str]:
        """Logs whose events are in the states."""
        return frozenset(self.position).union(() if self.adopted is None else self.adopted.epochs)


@dataclass(frozen=True, slots=True)
class EntityRecord:
    """An entity's encoded state, and when its newest event was received by the node's clock (µs since 1970).

    `anchor` is that moment in ms of the boot's uptime (or NO_ANCHOR), and `boot` the hash of that boot.
    """

    state: bytes
    received: int
    anchor: int
    boot: int

    @property
    def size(self) -> int:
        return len(self.state) + _HEADER.size


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(VersionNote).decode


def encode_note(note: VersionNote) -> bytes:
    """The note, checksummed: LMDB itself notices no flipped bits."""
    data = _encode(note)
    return zlib.crc32(data).to_bytes(4, "little") + data


def decode_note(data: bytes) -> VersionNote:
    """Raises ValueError for anything else than a note that this code wrote."""
    if int.from_bytes(data[:4], "little") != zlib.crc32(data[4:]):
        raise ValueError("a note's checksum is wrong")
    note = _decode(data[4:])
    if note.format != FORMAT:
        raise ValueError(f"a note has format {note.format}, not {FORMAT}")
    return note


def encode_entity(key: bytes, record: EntityRecord) -> bytes:
    """Header and state, checksummed together with the key: no flipped bit gives an entity to another."""
    head = _HEADER.pack(0, record.received, record.anchor, record.boot)[4:]
    return zlib.crc32(record.state, zlib.crc32(head, zlib.crc32(fit(key)))).to_bytes(4, "little") + head + record.state


def decode_entity(key: bytes, data: bytes) -> EntityRecord:
    """Raises ValueError for a record that isn't whole, or another key's."""
    if len(data) < _HEADER.size or int.from_bytes(data[:4], "little") != zlib.crc32(data[4:], zlib.crc32(fit(key))):
        raise ValueError("an entity's checksum is wrong")
    _, received, anchor, boot = _HEADER.unpack_from(data)
    return EntityRecord(data[_HEADER.size :], received, anchor, boot)


def fit(key: bytes) -> bytes:
    """The key by which an entity is kept; the same for one that fits already."""
    return key if 0 < len(key) <= MAX_KEY else hashlib.blake2b(key).digest()
