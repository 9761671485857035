"""Segment files: a header, then commit blocks, then zeros to the end; named by the first number they speak for.

Header, little-endian: magic "SKERRYL2", u32 crc of what follows it, u32 0, u64 epoch, u64 base, u64 first, u64 hlc,
i64 created (µs since 1970), u64 uptime (ms since the boot), u64 boot (a hash of its id).

A segment speaks for every number from its base (its name) up to the next segment's base, whatever else the files hold:
that is how a segment whose fsync failed is superseded. Numbers from `base` to `first` - 1 were given to nobody who was
told. What two segments leave between the last whole block of one and the base of the next was lost by damage.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

from skerry_edge.events.block import ALIGNMENT, MARKER, MAX_LENGTH, Block, length_at, parse_block
from skerry_edge.events.disk_read import read_at

MAGIC = b"SKERRYL2"
# No number: what the last segment speaks for has no end yet.
ENDLESS = 1 << 64

_HEADER = struct.Struct("<8sIIQQQQqQQ")
_CHECKED_FROM = 12
BLOCKS_AT = _HEADER.size
_CHUNK = 256 << 10
_SUFFIX = ".seg"
_NAME_DIGITS = 20


@dataclass(frozen=True)
class Header:
    """What a segment says of itself; `hlc` is not earlier than any record in the segments before it."""

    epoch: str
    base: int
    first: int
    hlc: int
    created: int
    uptime: int
    boot: int


@dataclass(frozen=True, slots=True)
class Damage:
    """Bytes [offset, end) that are no block, and no zeros at the end of what was written."""

    offset: int
    end: int


def segment_path(directory: Path, base: int) -> Path:
    """Path of the segment that speaks for numbers from `base` on; twenty digits sort as numbers do."""
    return directory / f"{base:0{_NAME_DIGITS}d}{_SUFFIX}"


def segment_firsts(directory: Path) -> list[int]:
    """Bases of the segments in a folder, ascending; other files are not looked at. Raises OSError."""
    names = (name.removesuffix(_SUFFIX) for name in os.listdir(directory) if name.endswith(_SUFFIX))  # noqa: PTH208
    return sorted(int(name) for name in names if len(name) == _NAME_DIGITS and name.isdecimal())


def spans(firsts: list[int]) -> list[tuple[int, int]]:
    """Each segment's base and the number before which it ends."""
    return list(pairwise([*firsts, ENDLESS]))


def salt_of(epoch: str, base: int) -> int:
    """Where the checksums of a segment's blocks start from."""
    return zlib.crc32(f"{epoch}/{base}".encode())


def boot_hash(boot_id: str) -> int:
    """A boot's id as a number."""
    return int.from_bytes(blake2b(boot_id.encode(), digest_size=8).digest(), "little")


def encode_header(header: Header) -> bytes:
    """Make a segment's first bytes; `epoch` has sixteen hexadecimal digits."""
    data = _HEADER.pack(
        MAGIC,
        0,
        0,
        int(header.epoch, 16),
        header.base,
        header.first,
        header.hlc,
        header.created,
        header.uptime,
        header.boot,
    )
    return data[:8] + zlib.crc32(data[_CHECKED_FROM:]).to_bytes(4, "little") + data[_CHECKED_FROM:]


def read_header(descriptor: int) -> Header | None:
    """A segment's header; None if it is damaged. Raises OSError."""
    data = read_at(descriptor, BLOCKS_AT, 0)
    if len(data) < BLOCKS_AT:
        return None
    magic, checksum, _, epoch, base, first, hlc, created, uptime, boot = _HEADER.unpack(data)
    if magic != MAGIC or zlib.crc32(data[_CHECKED_FROM:]) != checksum:
        return None
    return Header(f"{epoch:016x}", base, first, hlc, created, uptime, boot)


def own_header(descriptor: int, epoch: str, base: int) -> Header | None:
    """A segment's header; None if it is damaged, or another segment's. Raises OSError."""
    header = read_header(descriptor)
    return header if header is not None and (header.epoch, header.base) == (epoch, base) else None


@contextmanager
def open_segment(directory: Path, base: int) -> Iterator[int | None]:
    """A descriptor to read a segment with; None if the segment is gone. Raises OSError."""
    try:
        descriptor = os.open(segment_path(directory, base), os.O_RDONLY)
    except FileNotFoundError:
        yield None
        return
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def prefetch(directory: Path, base: int) -> None:
    """Have the kernel begin to read a segment that is wanted soon. Raises OSError."""
    with open_segment(directory, base) as descriptor:
        if descriptor is not None:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)


def header_of(directory: Path, base: int) -> Header | None:
    """The header of one of a folder's segments; None if it is damaged or the segment gone. Raises OSError."""
    with open_segment(directory, base) as descriptor:
        return None if descriptor is None else read_header(descriptor)


def scan(descriptor: int, salt: int, start: int = BLOCKS_AT, end: int | None = None) -> Iterator[Block | Damage]:
    """Yield the blocks in file bytes [start, end), and the damage before, between and behind them, in order.

    Zeros up to the end are what was allocated and not yet written. 256 KiB are read at a time, into a buffer of its own
    each, so that a block's view stays good for as long as it is kept. Raises OSError.
    """
    if end is None:
        end = os.fstat(descriptor).st_size
    offset = start
    while offset < end:
        data = memoryview(read_at(descriptor, min(_CHUNK, end - offset), offset))
        if not data:
            return
        at = 0
        while (block := parse_block(data, at, offset, salt)) is not None:
            yield block
            at = block.end - offset
        if at:
            offset += at
            continue
        block = _whole_block(descriptor, offset, end, salt, length_at(data, 0))
        if block is None:
            if not any_nonzero(descriptor, offset, end):
                return
            block = _next_block(descriptor, offset, end, salt)
            if block is None:
                yield Damage(offset, end_of_data(descriptor, offset, end))
                return
            yield Damage(offset, block.offset)
        yield block
        offset = block.end


def any_nonzero(descriptor: int, start: int, end: int) -> bool:
    """Tell whether file bytes [start, end) hold anything but zeros."""
    return end_of_data(descriptor, start, end) > start


def end_of_data(descriptor: int, start: int, end: int) -> int:
    """The offset behind the last byte of [start, end) that isn't zero; `start` if there is none."""
    found, offset = start, start
    while offset < end:
        data = read_at(descriptor, min(_CHUNK, end - offset), offset)
        if not data:
            break
        stripped = data.rstrip(b"\0")
        if stripped:
            found = offset + len(stripped)
        offset += len(data)
    return found


def _whole_block(descriptor: int, offset: int, end: int, salt: int, length: int | None) -> Block | None:
    """The block at `offset` if it is longer than a chunk."""
    if length is None or length <= _CHUNK or offset + length > end:
        return None
    return parse_block(memoryview(read_at(descriptor, length, offset)), 0, offset, salt)


def _next_block(descriptor: int, offset: int, end: int, salt: int) -> Block | None:
    """The first whole block behind `offset`."""
    while offset < end:
        data = read_at(descriptor, min(_CHUNK + MAX_LENGTH, end - offset), offset)
        view = memoryview(data)
        at = data.find(MARKER, 1)
        while 0 <= at < _CHUNK:
            if (offset + at - BLOCKS_AT) % ALIGNMENT == 0:
                block = parse_block(view, at, offset, salt)
                if block is not None:
                    return block
            at = data.find(MARKER, at + 1)
        # One byte less than what was looked at, since the search begins behind the first.
        offset += _CHUNK - 1
    return None
