"""Commit blocks: what goes in comes out, and nothing else ever passes for it."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.batch.flags import Flags
from skerry_edge.events.block import (
    ALIGNMENT,
    DATA,
    LOST,
    SKIPPED,
    columns_of,
    encode_block,
    encode_columns,
    encode_note,
    last_hlc,
    parse_block,
)
from skerry_edge.events.record import NewRecord
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


@given(blocks)
def test_the_checksum_is_the_one_that_zlib_computes(content):
    data = encoded(content)
    assert int.from_bytes(data[4:8], "little") == zlib.crc32(data[8:], SALT)


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


@pytest.mark.slow
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
