"""Commit blocks: what goes in comes out, and nothing else ever passes for it."""

import random
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.events.block import (
    ALIGNMENT,
    DATA,
    HEADER,
    LOST,
    MARKER,
    SKIPPED,
    columns_of,
    encode_block,
    encode_columns,
    encode_note,
    last_hlc,
    parse_block,
)
from skerry_edge.events.record import Flags, NewRecord
from skerry_edge.events.rows import Rows

SALT = 77
times = st.integers(-(1 << 63), (1 << 63) - 1)
bodies = st.one_of(st.binary(max_size=60), st.integers(0, 600).map(lambda n: b"much alike " * n))
new_records = st.builds(NewRecord, bodies, times, times, st.integers(0, 15).map(Flags))
blocks = st.tuples(
    st.integers(1, 1 << 60), st.lists(st.tuples(st.integers(0, (1 << 64) - 1), new_records), min_size=1, max_size=20)
)


def encoded(content):
    first, rows = content
    return encode_block(SALT, first, [hlc for hlc, _ in rows], Rows.of([record for _, record in rows]))


@given(blocks)
def test_what_goes_in_comes_out(content):
    first, rows = content
    data = encoded(content)
    assert len(data) % ALIGNMENT == 0
    block = parse_block(memoryview(b"12345678" + data + b"rest"), 8, 100, SALT)
    assert (block.offset, block.end, block.kind) == (108, 108 + len(data), DATA)
    assert (block.first, block.next_seq) == (first, first + len(rows))
    assert last_hlc(block) == rows[-1][0]
    batch = columns_of(block)
    assert (batch.first, batch.last, len(batch)) == (first, first + len(rows) - 1, len(rows))
    assert [
        (record.hlc, NewRecord(record.body, record.time, record.received, record.flags)) for record in batch.records()
    ] == rows
    assert [batch.body(index) for index in range(len(rows))] == [record.body for _, record in rows]
    with pytest.raises(ValueError, match="read-only"):
        batch.time[0] = 1


@given(blocks, st.data())
def test_a_part_is_a_batch_of_its_own(content, data):
    rows = content[1]
    start = data.draw(st.integers(0, len(rows) - 1))
    stop = data.draw(st.integers(start + 1, len(rows)))
    block = parse_block(memoryview(encoded(content)), 0, 0, SALT)
    part = columns_of(block).part(start, stop)
    assert [record.body for record in part.records()] == [record.body for _, record in rows[start:stop]]
    again = parse_block(memoryview(encode_columns(SALT, part)), 0, 0, SALT)
    assert list(columns_of(again).records()) == list(part.records())


@given(blocks, st.data())
@settings(max_examples=200)
def test_no_flipped_byte_passes(content, data):
    raw = bytearray(encoded(content))
    raw[data.draw(st.integers(0, len(raw) - 1))] ^= data.draw(st.integers(1, 255))
    assert parse_block(memoryview(raw), 0, 0, SALT) is None


@given(blocks, st.data())
def test_no_part_of_a_block_and_no_foreign_block_passes(content, data):
    raw = encoded(content)
    assert parse_block(memoryview(raw)[: data.draw(st.integers(0, len(raw) - 1))], 0, 0, SALT) is None
    assert parse_block(memoryview(raw), 0, 0, SALT + 1) is None


@given(st.binary(max_size=200))
def test_noise_is_no_block(noise):
    assert parse_block(memoryview(noise), 0, 0, SALT) is None
    assert parse_block(memoryview(b"\xf5SKB" + noise), 0, 0, SALT) is None


@pytest.mark.parametrize("kind", [LOST, SKIPPED])
def test_a_note_of_numbers_that_name_nothing(kind):
    block = parse_block(memoryview(encode_note(SALT, kind, 40, 1 << 20)), 0, 0, SALT)
    assert (block.kind, block.first, block.next_seq, last_hlc(block)) == (kind, 40, 40 + (1 << 20), 0)


def test_blocks_are_packed_where_it_pays():
    alike = Rows.of([NewRecord(b'{"state":"running","n":%d}' % number, number, number) for number in range(200)])
    noise = Rows.of([NewRecord(random.Random(1).randbytes(60_000), 1, 2)])
    small = Rows.of([NewRecord(b"x" * 100, 1, 2)])
    blocks = [
        parse_block(memoryview(encode_block(SALT, 1, range(len(rows)), rows)), 0, 0, SALT)
        for rows in (alike, noise, small)
    ]
    assert [block.packed for block in blocks] == [True, False, False]
    assert blocks[0].end < alike.stored_size / 4
    assert all(block.end <= rows.stored_size for block, rows in zip(blocks, (alike, noise, small), strict=True))


def test_a_frame_that_lies_about_its_size_is_an_error_and_not_a_feast():
    """A checksum is no signature: whoever can write the folder can make one that is right."""
    bomb = zstandard.compress(bytes(64 << 20))
    header = HEADER.pack(MARKER, 0, HEADER.size + len(bomb), 1, 1, DATA, 1, 100)
    data = header + bomb + bytes(-len(bomb) % 8)
    data = header[:8] + (HEADER.size + len(bomb) + -len(bomb) % 8).to_bytes(4, "little") + data[12:]
    data = data[:4] + zlib.crc32(data[8:], SALT).to_bytes(4, "little") + data[8:]
    block = parse_block(memoryview(data), 0, 0, SALT)
    with pytest.raises(OSError, match="unpack"):
        columns_of(block)
