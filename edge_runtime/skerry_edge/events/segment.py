"""Segment files of the prediction log: a magic, then CRC-framed records; named by the first sequence number.

A frame is marker (4 bytes), payload length (u32), CRC-32 (u32) over length, sequence number and payload, sequence
number (u64), payload; all little-endian. The marker starts with 0xF5, which no UTF-8 text holds, so that a reader can
find the next frame behind damaged bytes. A segment ends where the next one starts, whatever else it holds: that is
how a segment whose fsync failed is superseded.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MAGIC = b"SKERRYL1"
MAX_PAYLOAD = 1 << 16

_MARKER = b"\xf5SKR"
_HEADER = struct.Struct("<4sIIQ")
FRAME_OVERHEAD = _HEADER.size
_CHECKED = struct.Struct("<IQ")
_CHUNK = 1 << 18
_SUFFIX = ".seg"
_NAME_DIGITS = 20


@dataclass(frozen=True)
class Frame:
    """A whole record at `offset`, ending before `end`."""

    offset: int
    end: int
    seq: int
    payload: bytes


@dataclass(frozen=True)
class Damage:
    """Bytes [offset, end) that are no frames though a frame follows them."""

    offset: int
    end: int


def segment_path(directory: Path, first: int) -> Path:
    """Path of the segment that starts at a sequence number; twenty digits sort as numbers do."""
    return directory / f"{first:0{_NAME_DIGITS}d}{_SUFFIX}"


def segment_firsts(directory: Path) -> list[int]:
    """First sequence numbers of the segments in a folder, ascending; other files are not looked at."""
    stems = (path.stem for path in directory.iterdir() if path.suffix == _SUFFIX)
    return sorted(int(stem) for stem in stems if len(stem) == _NAME_DIGITS and stem.isdecimal())


def encode_frame(seq: int, payload: bytes) -> bytes:
    """Frame a payload; ValueError if it is longer than MAX_PAYLOAD."""
    if len(payload) > MAX_PAYLOAD:
        raise ValueError(f"a record of {len(payload)} bytes is longer than {MAX_PAYLOAD}")
    checksum = zlib.crc32(payload, zlib.crc32(_CHECKED.pack(len(payload), seq)))
    return _HEADER.pack(_MARKER, len(payload), checksum, seq) + payload


def _parse(data: bytes, at: int, base: int) -> Frame | None:
    """The whole frame that starts at data[at], or None."""
    body = at + _HEADER.size
    if body > len(data):
        return None
    marker, length, checksum, seq = _HEADER.unpack_from(data, at)
    if marker != _MARKER or length > MAX_PAYLOAD or body + length > len(data):
        return None
    payload = data[body : body + length]
    if zlib.crc32(payload, zlib.crc32(_CHECKED.pack(length, seq))) != checksum:
        return None
    return Frame(base + at, base + body + length, seq, payload)


def _next_frame(descriptor: int, offset: int, size: int) -> Frame | None:
    """The first whole frame that starts behind `offset`; reads the rest of the segment, since damage is rare."""
    data = os.pread(descriptor, size - offset, offset)
    at = data.find(_MARKER, 1)
    while at >= 0:
        frame = _parse(data, at, offset)
        if frame is not None:
            return frame
        at = data.find(_MARKER, at + 1)
    return None


def scan(descriptor: int, offset: int = len(MAGIC)) -> Iterator[Frame | Damage]:
    """Yield frames, and damage between frames, up to the last whole frame; what follows that is a torn tail.

    Reads 256 KiB at a time, so that a reader needs little memory. A segment being written may be scanned: a frame
    that is not whole yet ends the scan.
    """
    size = os.fstat(descriptor).st_size
    while offset < size:
        data = os.pread(descriptor, max(_CHUNK, _HEADER.size + MAX_PAYLOAD), offset)
        at = 0
        while (frame := _parse(data, at, offset)) is not None:
            yield frame
            at = frame.end - offset
        if at:
            offset += at
            continue
        following = _next_frame(descriptor, offset, size)
        if following is None:
            return
        yield Damage(offset, following.offset)
        offset = following.offset
