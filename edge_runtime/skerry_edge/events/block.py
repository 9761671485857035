r"""Commit blocks: the records of one commit as columns under one CRC-32. Bytes in, columns out; no I/O.

All numbers are little-endian. A block is

    marker "\xf5SKB"   u32 crc   u32 length   u32 count   u64 first   u16 kind   u16 0   u32 data bytes
    u64 hlc[count]   i64 time[count]   i64 received[count]   u32 offset[count + 1]   u16 flags[count]   data   zeros

padded to a multiple of eight bytes. The CRC covers all that follows it and starts from the segment's salt, so that a
block which a broken disk, or a copy, brings to the wrong file is no block there. 0xF5 is in no UTF-8 text: behind
damaged bytes the next block is found by its marker.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate

import numpy as np

# The same checksum as zlib's, several times as fast: all that is read or written goes through it.
from isal.isal_zlib import crc32

from skerry_edge.events.record import MAX_BODY, ColumnBatch
from skerry_edge.events.rows import BLOCK_BYTES, MAX_COUNT, MAX_DATA, RECORD_BYTES, Rows

MARKER = b"\xf5SKB"
HEADER = struct.Struct("<4sIIIQHHI")
ALIGNMENT = 8
MAX_LENGTH = BLOCK_BYTES + MAX_COUNT * RECORD_BYTES + MAX_DATA + MAX_BODY

# Made once, and given to the array's own constructor: a fifth of a replay went into np.frombuffer.
_U8, _I8, _U4, _U2 = (np.dtype(name) for name in ("<u8", "<i8", "<u4", "<u2"))
_CHECKSUM = struct.Struct("<I")
_CHECKSUM_AT = 4
_CHECKED_FROM = 8

# Kinds: records; the note that `count` numbers were lost by damage (a redaction can't look into damaged bytes, and
# drops them); the note that `count` numbers are skipped.
DATA, LOST, SKIPPED = 0, 1, 2


@dataclass(frozen=True, slots=True)
class Block:
    """A whole block with a right checksum: `count` records from `first` on, in file bytes [offset, end)."""

    offset: int
    end: int
    kind: int
    first: int
    count: int
    view: memoryview

    @property
    def next_seq(self) -> int:
        """The number after the last record."""
        return self.first + self.count


def encode_block(salt: int, first: int, hlcs: Iterable[int], rows: Rows) -> bytearray:
    """Make the block of records `first`, `first` + 1, …; at most MAX_COUNT of them."""
    count = len(rows.bodies)
    columns = _columns(count).pack(
        *hlcs, *rows.times, *rows.received, *accumulate(rows.lengths, initial=0), *rows.flags
    )
    return _sealed(salt, DATA, first, count, columns, rows.size, rows.bodies)


@lru_cache(maxsize=256)
def _columns(count: int) -> struct.Struct:
    return struct.Struct(f"<{count}Q{count}q{count}q{count + 1}I{count}H")


def encode_note(salt: int, kind: int, first: int, count: int) -> bytearray:
    """Make the note, LOST or SKIPPED, that `count` numbers from `first` on name no records."""
    return _sealed(salt, kind, first, count, b"", 0, ())


def encode_columns(salt: int, batch: ColumnBatch) -> bytearray:
    """Make the block of a batch anew, for another segment."""
    start, stop = int(batch.offsets[0]), int(batch.offsets[-1])
    columns = (
        batch.hlc.astype("<u8").tobytes(),
        batch.time.astype("<i8").tobytes(),
        batch.received.astype("<i8").tobytes(),
        (batch.offsets - np.uint32(start)).astype("<u4").tobytes(),
        batch.flags.astype("<u2").tobytes(),
    )
    return _sealed(salt, DATA, batch.first, len(batch), b"".join(columns), stop - start, (batch.data[start:stop],))


def _sealed(
    salt: int, kind: int, first: int, count: int, columns: bytes, size: int, bodies: Iterable[bytes | memoryview]
) -> bytearray:
    """Make a block of columns and of bodies with `size` bytes in all. What is joined here is copied only once."""
    length = HEADER.size + len(columns) + size
    pad = -length % ALIGNMENT
    header = HEADER.pack(MARKER, 0, length + pad, count, first, kind, 0, size)
    block = bytearray().join((header, columns, *bodies, bytes(pad)))
    _CHECKSUM.pack_into(block, _CHECKSUM_AT, crc32(memoryview(block)[_CHECKED_FROM:], salt))
    return block


def parse_block(data: memoryview, at: int, base: int, salt: int) -> Block | None:
    """The block at data[at] if it is whole and its checksum right; `base` is the file offset of data[0]."""
    if at + HEADER.size > len(data):
        return None
    marker, checksum, length, count, first, kind, _, size = HEADER.unpack_from(data, at)
    if marker != MARKER or length < HEADER.size or at + length > len(data):
        return None
    view = data[at : at + length]
    if crc32(view[_CHECKED_FROM:], salt) != checksum:
        return None
    needed = HEADER.size + (RECORD_BYTES * count + 4 + size if kind == DATA else 0)
    if not needed <= length < needed + ALIGNMENT:
        return None
    return Block(base + at, base + at + length, kind, first, count, view)


def length_at(data: memoryview, at: int) -> int | None:
    """How long the block at data[at] says that it is, its checksum not looked at; None if it can be no block."""
    if at + HEADER.size > len(data):
        return None
    marker, _, length, *_ = HEADER.unpack_from(data, at)
    return length if marker == MARKER and HEADER.size <= length <= MAX_LENGTH else None


def columns_of(block: Block) -> ColumnBatch:
    """A data block's columns, as views of its bytes."""
    count, view, at = block.count, block.view, HEADER.size
    return ColumnBatch(
        block.first,
        np.ndarray(count, _U8, view, at),
        np.ndarray(count, _I8, view, at + 8 * count),
        np.ndarray(count, _I8, view, at + 16 * count),
        np.ndarray(count, _U2, view, at + 28 * count + 4),
        np.ndarray(count + 1, _U4, view, at + 24 * count),
        view[at + RECORD_BYTES * count + 4 :],
    )


def last_hlc(block: Block | None) -> int:
    """Hybrid time of a data block's last record; 0 if there is none."""
    if block is None or block.kind != DATA or not block.count:
        return 0
    return int.from_bytes(block.view[HEADER.size + 8 * (block.count - 1) :][:8], "little")
