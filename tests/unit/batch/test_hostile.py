"""Whatever bytes come: a batch, or DamagedBatchError, at a bounded cost."""

import contextlib
import tracemalloc
from dataclasses import replace

import msgspec
import numpy as np
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.batch import layout
from skerry_core.batch.bodies import parse_rows
from skerry_core.batch.codec import decode, decode_columns, encode_as
from skerry_core.batch.columns_form import columns_of, pack
from skerry_core.batch.contents import Absent, AbsentReason, Batch, Row
from skerry_core.batch.frame import compress
from skerry_core.batch.key import Format
from skerry_core.batch.layout import MAGIC
from skerry_core.batch.limits import DEFAULT_LIMITS, DamagedBatchError, Limits
from skerry_core.batch.nodes import Ints, Lists, Mixed, Object
from tests.unit.batch.strategies import LOG, body

READERS = (decode, decode_columns)


def read(data: bytes, limits: Limits = DEFAULT_LIMITS) -> None:
    for reader in READERS:
        with contextlib.suppress(DamagedBatchError):
            reader(data, limits)


def rich_batch() -> Batch:
    rng = np.random.default_rng(3)
    rows = tuple(
        Row(
            seq + 10,
            (1_795_000_000_000 + seq) << 16,
            1_795_000_000_000_000 + seq * 20_000,
            1_795_000_000_000_000 + seq * 20_000 + 700,
            0,
            b"odd"
            if seq == 7
            else body(
                {
                    "id": rng.bytes(16).hex(),
                    "who": f"person-{seq % 4}",
                    "note": "é" * (seq % 5),
                    "time": f"2026-11-20T08:15:{seq:02d}.000001Z",
                    "x": round(float(rng.normal()), 3),
                    "y": float(rng.normal()),
                    "z": [seq, 1.5, None][seq % 3],
                    "list": [seq] * (seq % 3),
                    "vector": [0.5, seq],
                    "big": 2**70,
                    **({"rare": {"a": [{"b": True}]}} if seq % 9 == 0 else {}),
                }
            ),
        )
        for seq in range(1, 41)
    )
    return Batch(LOG, 0, 50, rows, (Absent(1, 10, AbsentReason.SKIPPED),))


BATCH = rich_batch()
CONTENT = {
    Format.COLUMNS: b"".join(pack(columns_of(BATCH, parse_rows(BATCH.rows)))),
    Format.JSONL: zstandard.decompress(encode_as(BATCH, Format.JSONL).data),
}
edits = st.lists(
    st.tuples(st.sampled_from(["flip", "cut", "insert", "copy"]), st.integers(0, 2**16), st.binary(max_size=9)),
    min_size=1,
    max_size=6,
)


def edited(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for how, where, what in changes:
        at = where % (len(data) + 1)
        if how == "flip":
            data = data[:at] + what + data[at + len(what) :]
        elif how == "cut":
            data = data[:at] + data[at + len(what) + 1 :]
        elif how == "insert":
            data = data[:at] + what + data[at:]
        else:
            data = data[:at] + data[at // 2 : at // 2 + 40] + data[at:]
    return data


@given(st.binary(max_size=200))
@settings(max_examples=50)
def test_any_bytes(data):
    read(data)
    read(zstandard.compress(data))
    read(compress([MAGIC + data], 3))


@pytest.mark.slow
@pytest.mark.parametrize("form", list(Format))
@given(changes=edits)
@settings(max_examples=50)
def test_a_changed_file_is_refused(form, changes):
    data = encode_as(BATCH, form).data
    changed = edited(data, changes)
    read(changed)
    if changed != data:
        with pytest.raises(DamagedBatchError):
            decode(changed)


@pytest.mark.slow
@pytest.mark.parametrize("form", list(Format))
@given(changes=edits)
@settings(max_examples=150)
def test_changed_content_under_a_right_checksum(form, changes):
    read(compress([edited(CONTENT[form], changes)], 1))


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("form", list(Format))
@given(changes=edits)
@settings(max_examples=3_000)
def test_much_changed_content_under_a_right_checksum(form, changes):
    read(compress([edited(CONTENT[form], changes)], 1))


def head_and_rest() -> tuple[list, bytes]:
    content = CONTENT[Format.COLUMNS]
    start = len(MAGIC) + layout.LENGTH_BYTES
    end = start + int.from_bytes(content[len(MAGIC) : start], "little")
    return msgspec.msgpack.decode(content[start:end]), content[end:]


def with_head(head: object, rest: bytes) -> bytes:
    packed = msgspec.msgpack.encode(head)
    return compress([MAGIC + len(packed).to_bytes(layout.LENGTH_BYTES, "little") + packed + rest], 1)


def places(node: object, path: tuple = ()) -> list[tuple]:
    if isinstance(node, list):
        return [path, *(one for at, child in enumerate(node) for one in places(child, (*path, at)))]
    return [path]


HEAD, REST = head_and_rest()
PLACES = places(HEAD)
values = st.one_of(
    st.sampled_from([-1, 0, 1, 2, 40, 1000, 2**20 - 1, 2**32 - 1, 2**63 - 1, -(2**63), None, True, [], [0], "x" * 99]),
    st.sampled_from(PLACES).map(lambda path: at_place(HEAD, path)),
)


def at_place(node: object, path: tuple) -> object:
    for step in path:
        node = node[step]
    return node


def with_value(node: object, path: tuple, value: object) -> object:
    if not path:
        return value
    copy = list(node)
    copy[path[0]] = with_value(copy[path[0]], path[1:], value)
    return copy


@pytest.mark.slow
@given(st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=3))
@settings(max_examples=200)
def test_a_header_that_lies(changes):
    head = HEAD
    for path, value in changes:
        try:
            head = with_value(head, path, value)
        except (TypeError, IndexError):
            continue
    read(with_head(head, REST))


@pytest.mark.slow
@pytest.mark.long
@given(st.lists(st.tuples(st.sampled_from(PLACES), values), min_size=1, max_size=3))
@settings(max_examples=5_000)
def test_many_headers_that_lie(changes):
    head = HEAD
    for path, value in changes:
        try:
            head = with_value(head, path, value)
        except (TypeError, IndexError):
            continue
    read(with_head(head, REST))


def zeros(count: int, base: int = 0) -> list:
    return [count, 0, 0, base]


def header(rows: int, streams: list, node: object) -> bytes:
    clocks = [zeros(rows)]
    return with_head(["s", "n", "t", "e", 0, rows, rows, [*clocks, *streams], 0, 0, 0, 0, node], b"")


def nested(depth: int) -> msgspec.Raw:
    """The MessagePack of objects within objects; too deep a one could not be encoded."""
    return msgspec.Raw(b"\x93\x07\x91\xa1a\x91" * depth + b"\x91\x01")


ROWS = DEFAULT_LIMITS.max_rows


def named_bomb(tree) -> bytes:
    """4,000 bodies of one member with a long name, which is in the file once."""
    batch = columns_of(
        Batch(LOG, 0, 4_000, tuple(Row(seq, 0, 0, 0, 0, b"{}") for seq in range(1, 4_001))), [{}] * 4_000
    )
    return compress(pack(replace(batch, body=tree("n" * 100_000, Ints(np.zeros(4_000, np.int64))))), 9)


BOMBS = {
    "a long name of a member": named_bomb(lambda name, values: Object(4_000, ((name, values),))),
    "a long name in lists": named_bomb(
        lambda name, values: Object(4_000, (("l", Lists(np.ones(4_000, np.int64), Object(4_000, ((name, values),)))),))
    ),
    "a long name beside other values": named_bomb(
        lambda name, values: Object(
            4_000,
            (
                (
                    "m",
                    Mixed(
                        np.repeat([0, 1], 2_000),
                        (Ints(np.zeros(2_000, np.int64)), Object(2_000, ((name, Ints(values.values[:2_000])),))),
                    ),
                ),
            ),
        )
    ),
    "rows": header(10**9, [], [7, [], []]),
    "rows that a stream repeats": header(2**31, [], [7, [], []]),
    "columns": header(ROWS, [], [7, [f"k{one}" for one in range(5000)], [[3, 0]] * 5000]),
    "depth": header(1, [], nested(200)),
    "depth that no reader recurses into": header(1, [], nested(5000)),
    "lists of many": header(ROWS, [zeros(ROWS, 2**31)], [7, ["a"], [[9, 1, [1]]]]),
    "lists of many objects": header(ROWS, [zeros(ROWS, 1000)], [7, ["a"], [[9, 1, [7, [], []]]]]),
    "lists of lists": header(ROWS, [zeros(ROWS, 64), zeros(ROWS * 64, 64)], [7, ["a"], [[9, 1, [9, 2, [7, [], []]]]]]),
    "literals": header(ROWS, [], [7, ["a"], [[5, [2, ["x" * 10**6, ""], [[10, 0, 0]]]]]]),
    "zones": header(ROWS, [], [7, ["a"], [[5, [3, 6, "x" * 10**6, 0]]]]),
    "one text for all": header(
        ROWS,
        [zeros(1, 10**6)],
        [7, ["a", "b", "c"], [[5, [1, 0, [2, ["x" * 10**6, ""], [[10, 0, 1]]]]]] * 3],
    ),
    "streams that refer in a circle": header(
        1, [[1, 0, 0, 0, 1, False, 1, -1, 2], [1, 0, 0, 0, 1, False, 1, -1, 1]], [7, ["a"], [[3, 1]]]
    ),
    "zeros": compress([bytes(1 << 30)], 1),
    "lines": compress([b"\n" * (16 << 20)], 1),
    "a deep line": compress([b"[" * (1 << 20) + b"\n"], 1),
}


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("reader", READERS)
def test_a_bomb_is_refused_and_costs_little(name, reader):
    tracemalloc.start()
    try:
        with pytest.raises(DamagedBatchError):
            reader(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 128 << 20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "limits",
    [
        Limits(max_bytes=500),
        Limits(max_rows=39),
        Limits(max_absent=0),
        Limits(max_columns=5),
        Limits(max_values=100),
        Limits(max_depth=2),
    ],
)
def test_each_limit_is_kept(limits):
    with pytest.raises(DamagedBatchError):
        decode(encode_as(BATCH, Format.COLUMNS).data, limits)


def test_trailing_bytes_and_second_frames_are_refused():
    data = encode_as(BATCH, Format.COLUMNS).data
    for tail in (b"\0", data):
        with pytest.raises(DamagedBatchError):
            decode(data + tail)
