import json

import numpy as np
import pytest
import zstandard
from hypothesis import given, settings

from skerry_core.batch.codec import decode, decode_columns, encode, encode_as
from skerry_core.batch.columnar import Column, Kind, Strings
from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, Row
from skerry_core.batch.key import Format
from skerry_core.batch.layout import MAGIC
from tests.unit.batch.strategies import LOG, batches, body

FORMS = list(Format)


def value(text: bytes) -> str:
    """One text for equal JSON values: keys sorted, the last of repeated ones, integers and doubles apart."""
    return json.dumps(json.loads(text), sort_keys=True)


def is_object(text: bytes) -> bool:
    try:
        return isinstance(json.loads(text), dict) and "Infinity" not in json.dumps(json.loads(text))
    except (ValueError, RecursionError):
        return False


def expect_same(decoded: Batch, batch: Batch) -> None:
    assert (decoded.log, decoded.after, decoded.last, decoded.absent) == (
        batch.log,
        batch.after,
        batch.last,
        batch.absent,
    )
    assert len(decoded.rows) == len(batch.rows)
    for read, row in zip(decoded.rows, batch.rows, strict=True):
        assert (read.seq, read.hlc, read.time, read.received, read.flags) == (
            row.seq,
            row.hlc,
            row.time,
            row.received,
            row.flags,
        )
        assert read.body == row.body or value(read.body) == value(row.body)


def batch_of(*values: object) -> Batch:
    rows = tuple(Row(seq, seq << 16, seq, seq, 0, body(one)) for seq, one in enumerate(values, start=1))
    return Batch(LOG, 0, len(rows), rows)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@given(batch=batches())
@settings(max_examples=40)
def test_a_batch_comes_back_in_every_form(form, batch):
    expect_same(decode(encode_as(batch, form).data), batch)


@pytest.mark.slow
@pytest.mark.long
@given(batch=batches())
@settings(max_examples=1_000)
def test_many_batches_come_back_as_columns(batch):
    encoded = encode_as(batch, Format.COLUMNS).data
    expect_same(decode(encoded), batch)
    decode_columns(encoded)


def test_lines_are_taken_where_only_the_higher_level_makes_them_smaller():
    bodies = dict.fromkeys((1, 3, 5, 7, 9), b"{}") | {
        10: b'{"a": 0, "b": false, "c": {}}',
        12: b'{"b": false, "a": 0, "c": null}',
        14: b'{"a": 0, "b": false, "c": {"": null, "a": []}}',
    }
    at = 1_795_000_000_000_000
    rows = tuple(Row(seq, 0, at, at + 1000 * (seq == 14), 0, body) for seq, body in bodies.items())
    absent = tuple(Absent(seq, seq, AbsentReason.SKIPPED) for seq in (2, 4, 6, 8, 11, 13))
    batch = Batch(LogName("clinic-3", "node-1", "imu", "4f1c9a0b7d2e6853"), 0, 14, rows, absent)
    assert len(encode_as(batch, Format.JSONL).data) < len(encode_as(batch, Format.COLUMNS).data)
    assert encode(batch).format is Format.JSONL


@given(batch=batches())
@settings(max_examples=15)
def test_encode_takes_the_smaller_form_and_says_which(batch):
    encoded = encode(batch)
    assert len(encoded.data) <= len(encode_as(batch, Format.JSONL).data)
    assert zstandard.decompress(encoded.data).startswith(MAGIC) == (encoded.format is Format.COLUMNS)
    expect_same(decode(encoded.data), batch)


def at_path(document: object, path: tuple[str, ...]) -> object:
    for key in path:
        document = document.get(key) if isinstance(document, dict) else None
    return document


def listed(column: Column, rows: int) -> list[object]:
    """A column's values, None where there is none."""
    if isinstance(column.values, Strings):
        strings = column.values
        texts = [
            strings.data[start:end].decode()
            for start, end in zip(strings.offsets[:-1], strings.offsets[1:], strict=True)
        ]
        result = texts if strings.codes is None else [texts[code] for code in strings.codes]
    elif column.offsets is not None:
        flat = column.values.tolist()
        result = [flat[start:end] for start, end in zip(column.offsets[:-1], column.offsets[1:], strict=True)]
    else:
        result = column.values.tolist()
    assert len(result) == rows
    valid = np.ones(rows, bool) if column.valid is None else column.valid
    return [one if there else None for one, there in zip(result, valid, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
@given(batch=batches())
@settings(max_examples=25)
def test_columns_say_what_the_bodies_say(form, batch):
    table = decode_columns(encode_as(batch, form).data)
    odd = dict(table.odd)
    documents = [None if at in odd else json.loads(row.body) for at, row in enumerate(batch.rows)]
    assert all(odd[at] == batch.rows[at].body for at in odd)
    assert table.seq.tolist() == [row.seq for row in batch.rows]
    assert table.hlc.tolist() == [row.hlc for row in batch.rows]
    for column in table.columns:
        for got, document in zip(listed(column, len(table)), documents, strict=True):
            wanted = at_path(document, column.path)
            read = json.loads(got) if column.kind is Kind.JSON and got is not None else got
            assert read == wanted, (column, wanted)
    leaves = {column.path for column in table.columns}
    for document in documents:
        for key, one in (document or {}).items():
            assert one is None or isinstance(one, dict) or (key,) in leaves


_NUMBERS = [
    0,
    1,
    -1,
    2**53,
    2**53 + 1,
    -(2**63),
    2**63 - 1,
    2**63,
    2**64 - 1,
    10**30,
    1.0,
    -0.0,
    0.1,
    1e22,
    5e-324,
    1e308,
]
_RNG = np.random.default_rng(7)
COLUMNS = {
    "keys that never come again": [{f"k{row}-{key}": key for key in range(40)} for row in range(60)],
    "constant": [3] * 50,
    "counter": list(range(10**15, 10**15 + 50)),
    "multiples": [one * 1000 for one in _RNG.integers(0, 99, 50).tolist()],
    "wide": _RNG.integers(-(2**63), 2**63 - 1, 50).tolist(),
    "extremes": [-(2**63), 2**63 - 1] * 25,
    "beyond 64 bits": [2**64, 1, -(2**65)] * 10,
    "decimals": np.round(_RNG.normal(0, 5, 50), 4).tolist(),
    "decimals with noise": (np.round(_RNG.normal(0, 5, 50), 4) + 1.1).tolist(),
    "negative zeros": [0.0, -0.0, 0.25] * 10,
    "singles": _RNG.normal(0, 1, 50).astype(np.float32).astype(float).tolist(),
    "clock differences": [(86_400.0 + one) - 86_400.0 for one in _RNG.random(50).tolist()],
    "doubles": _RNG.normal(0, 1e200, 50).tolist(),
    "subnormal": [5e-324, -5e-324, 2.2250738585072014e-308] * 10,
    "integers as a browser writes them": [1, 1.5, 2, -3, 0.25] * 10,
    "integers and doubles by chance": [1, 1.0, 2, 2.5] * 10,
    "integers that no double holds beside doubles": [2**53 + 1, 0.5] * 10,
    "every number": _NUMBERS,
    "booleans": [True, False, False] * 10,
    "null or number": [None, 1, 2] * 10,
    "every type": [None, True, 1, 1.5, "x", [1], {"a": 1}] * 5,
    "few texts": ["left", "right"] * 20,
    "random texts": [_RNG.bytes(9).hex() for _ in range(50)],
    "uuids": [f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}" for h in (_RNG.bytes(16).hex() for _ in range(50))],
    "counters in text": [f"watch-{one}/run-{one % 7:03d}" for one in range(50)],
    "long digits": [f"{one}" for one in _RNG.integers(10**18, 9 * 10**18, 50).tolist()],
    "leading zeros of any number": ["0", "00", "000"] * 10,
    "hexadecimal of any length": ["abcd", "abcde"] * 10,
    "times": [f"2026-11-20T08:15:{one:02d}.{one * 10101:06d}Z" for one in range(50)],
    "times without a fraction": [f"2026-11-20T08:15:{one:02d}+01:00" for one in range(50)],
    "times of two zones": ["2026-11-20T08:15:00Z", "2026-11-20T08:15:00+01:00"] * 10,
    "a leap second": ["2016-12-31T23:59:60Z"] * 9,
    "no such day": ["2026-02-30T00:00:00Z"] * 9,
    "the year 1": ["0001-01-01T00:00:00.000000Z", "9999-12-31T23:59:59.999999Z"] * 9,
    "nanoseconds": [f"2026-11-20T08:15:00.{one:09d}Z" for one in range(50)],
    "non-ASCII": ["é", "\U0001f600", "", "a\u0000b", "\u2028"] * 9,
    "empty texts": ["", ""] * 9,
    "vectors": _RNG.normal(0, 1, (40, 3)).round(3).tolist(),
    "windows": _RNG.normal(0, 1, (20, 30, 3)).round(3).tolist(),
    "ragged": [[1] * (one % 4) for one in range(40)],
    "empty lists": [[]] * 9,
    "lists of lists of nothing": [[[]], [], [[], []]] * 3,
    "lists of objects": [[{"a": 1}, {"a": 2, "b": None}], []] * 9,
    "empty objects": [{}] * 9,
    "a key that comes and goes": [{"a": 1}, {}, {"a": None}, {"b": 2}] * 9,
    "maps": [{f"k{one}": one, f"k{one + 1}": one} for one in range(200)],
    "wide objects": [{f"k{key}": key for key in range(600)}] * 3,
    "deep": [json.loads("[" * 40 + "1" + "]" * 40)] * 5,
    "odd keys": [{"": 1, "a.b": 2, "\U0001f600": 3, "\u0000": 4}] * 9,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", COLUMNS)
def test_every_kind_of_column_comes_back(name):
    batch = batch_of(*({"v": one, "seq": at} for at, one in enumerate(COLUMNS[name])))
    for form in FORMS:
        expect_same(decode(encode_as(batch, form).data), batch)
    expect_same(decode(encode(batch).data), batch)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("booleans", Kind.BOOL),
        ("null or number", Kind.INT),
        ("beyond 64 bits", Kind.JSON),
        ("integers as a browser writes them", Kind.FLOAT),
        ("every type", Kind.JSON),
        ("times", Kind.STRING),
        ("vectors", Kind.FLOATS),
        ("ragged", Kind.INTS),
        ("lists of objects", Kind.JSON),
    ],
)
def test_the_kind_of_a_column_follows_its_values(name, kind):
    values = COLUMNS[name]
    table = decode_columns(encode_as(batch_of(*({"v": one} for one in values)), Format.COLUMNS).data)
    (column,) = table.columns
    assert (column.path, column.kind) == (("v",), kind)
    got = listed(column, len(table))
    assert [json.loads(one) if kind is Kind.JSON and one is not None else one for one in got] == values


@pytest.mark.parametrize(
    "odd",
    [
        b"",
        b"[]",
        b"7",
        b"{",
        b"\xff",
        b'{"a":NaN}',
        b'{"a":1e999}',
        b'{"a":"\\ud800"}',
        b'{"a":' * 70 + b"1" + b"}" * 70,
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_a_body_that_is_no_json_object_comes_back_byte_for_byte(form, odd):
    rows = tuple(Row(seq, 0, 0, 0, 0, odd if seq % 3 == 0 else b'{"a":1}') for seq in range(1, 10))
    encoded = encode_as(Batch(LOG, 0, 9, rows), form).data
    assert [row.body for row in decode(encoded).rows] == [row.body for row in rows]
    table = decode_columns(encoded)
    assert table.odd == tuple((at, odd) for at in (2, 5, 8))
    (column,) = table.columns
    assert listed(column, 9) == [None if at in (2, 5, 8) else 1 for at in range(9)]


@pytest.mark.parametrize("form", FORMS)
def test_only_odd_rows_or_none(form):
    for rows in ((), tuple(Row(seq, 0, 0, 0, 0, b"?") for seq in range(1, 41))):
        batch = Batch(LOG, 0, len(rows), rows)
        assert decode(encode_as(batch, form).data) == batch
        assert decode_columns(encode_as(batch, form).data).columns == ()


def test_the_small_form_can_be_read_by_eye():
    batch = batch_of({"a": 1})
    encoded = encode(batch)
    head, row = zstandard.decompress(encoded.data).splitlines()
    assert encoded.format is Format.JSONL
    assert json.loads(head) == {
        "format": "skerry-batch/1",
        "site": "clinic-3",
        "node": "node-1",
        "stream": "imu",
        "logEpoch": LOG.epoch,
        "after": 0,
        "last": 1,
        "rows": 1,
    }
    assert json.loads(row) == {"seq": 1, "hlc": 65536, "time": 1, "received": 1, "body": {"a": 1}}


def test_pretty_printed_bodies_stay_on_their_line():
    rows = (Row(1, 0, 0, 0, 0, b'{\n "a":\r\n 1e2}'),)
    encoded = encode_as(Batch(LOG, 0, 1, rows), Format.JSONL).data
    assert zstandard.decompress(encoded).count(b"\n") == 2
    assert decode(encoded).rows[0].body == b'{"a":1e2}'
