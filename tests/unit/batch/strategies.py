"""JSON of every shape, and batches of it, for Hypothesis."""

import json
from collections.abc import Sequence

from hypothesis import strategies as st

from skerry_core.batch.contents import Absent, AbsentReason, Batch, LogName, Row

LOG = LogName("clinic-3", "node-1", "imu", "4f1c9a0b7d2e6853")

_texts = st.one_of(
    st.text(max_size=12),
    st.sampled_from(
        ["", "a", "left", "2026-11-20T08:15:30.123456Z", "é\u0000\U0001f600", "00", "0", "1e3", '"', "\ud7ff"]
    ),
    st.uuids().map(str),
    st.integers(0, 10**20).map(lambda number: f"watch-{number}"),
    st.datetimes().map(lambda at: at.isoformat() + "Z"),
)
_integers = st.one_of(st.integers(-5, 5), st.integers(), st.integers(-(2**66), 2**66))
_floats = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-(10**7), 10**7).map(lambda number: number / 1e4),
    st.sampled_from([0.0, -0.0, 1.0, 5e-324, 1.7976931348623157e308, 0.1 + 0.2, 1e22, 2.0**53]),
)
scalars = st.one_of(st.none(), st.booleans(), _integers, _floats, _texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=5), st.dictionaries(_texts, inner, max_size=4)),
    max_leaves=12,
)
objects = st.dictionaries(_texts, values, max_size=5)
# Many rows of one shape, which is what columns are for.
_columns = st.sampled_from([_integers, _floats, _texts, st.booleans(), scalars, st.lists(_floats, max_size=3), values])
records = st.dictionaries(st.sampled_from(["a", "b", "c", "time", ""]), _columns, min_size=1).flatmap(
    lambda shape: st.lists(st.fixed_dictionaries({}, optional=shape) | st.fixed_dictionaries(shape), max_size=40)
)
bodies = st.one_of(st.lists(objects, max_size=12), records)
_int64 = st.integers(-(2**63), 2**63 - 1)
_clock = st.one_of(st.integers(1_795_000_000_000_000, 1_795_000_000_100_000), _int64)


def body(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


@st.composite
def batches(draw: st.DrawFn, of: st.SearchStrategy[Sequence[object]] = bodies) -> Batch:
    """Rows of JSON objects, now and then bytes that are none, between absent ranges."""
    odd = st.binary(max_size=9) | st.sampled_from([b"[]", b"NaN", b"{", b'{"a":1e999}', b'{"a":"\\ud800"}', b"{" * 500])
    contents = [body(value) for value in draw(of)]
    for raw in draw(st.lists(odd, max_size=2)):
        contents.insert(draw(st.integers(0, len(contents))), raw)
    after = end = draw(st.sampled_from([0, 7, 2**40, 2**62]))
    rows, absent = [], []
    for content in contents:
        if draw(st.integers(0, 9)) == 0:
            length = draw(st.sampled_from([1, 3, 1 << 20]))
            absent.append(Absent(end + 1, end + length, draw(st.sampled_from(AbsentReason))))
            end += length
        end += 1
        clocks = draw(st.tuples(st.integers(0, 2**64 - 1), _clock, _clock, st.integers(0, 2**16 - 1)))
        rows.append(Row(end, *clocks, content))
    return Batch(LOG, after, end, tuple(rows), tuple(absent))
