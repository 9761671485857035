"""States merge to the bit: however values are shared out and joined, it is the state of one who saw them all."""

import math
import statistics
from functools import reduce

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_core.rollups.state import Shape, State, ValueKind, decode, encode, gather, merge
from skerry_core.rollups.summary import histogram, quantile, summary

NUMBER, TEXT, VECTOR = Shape(ValueKind.NUMBER), Shape(ValueKind.TEXT), Shape(ValueKind.VECTOR, 3)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
VALUES = {
    NUMBER: FINITE | st.integers(-5, 5).map(float),
    TEXT: st.text(max_size=5),
    VECTOR: st.lists(FINITE, min_size=3, max_size=3),
}
TIME = 1_700_000_000_000_000


def state(shape, *values, times=None):
    times = [TIME] * len(values) if times is None else times
    return gather(shape, values, np.zeros(len(values), np.int64), np.array(times, np.int64))[0]


@st.composite
def shared_out(draw):
    shape = draw(st.sampled_from([NUMBER, TEXT, VECTOR]))
    events = draw(st.lists(st.tuples(VALUES[shape], st.integers(0, 1 << 50), st.integers(0, 4)), min_size=1))
    return shape, events, draw(st.randoms(use_true_random=False))


@given(shared_out())
def test_nodes_in_any_order_are_one_engine(drawn):
    shape, events, random = drawn
    whole = state(shape, *(value for value, _, _ in events), times=[time for _, time, _ in events])
    shuffled = random.sample(events, len(events))
    nodes = sorted({node for _, _, node in events})
    values, times = [value for value, _, _ in shuffled], [time for _, time, _ in shuffled]
    labels = [nodes.index(node) for _, _, node in shuffled]
    parts = gather(shape, values, np.array(labels), np.array(times))
    told = [encode(part) for part in random.sample(parts, len(parts))]
    while len(told) > 1:
        one, other = (told.pop(random.randrange(len(told))) for _ in range(2))
        told.append(encode(merge(decode(one), decode(other))))
    assert told[0] == encode(whole)
    assert encode(decode(told[0])) == told[0]


@given(st.lists(st.integers(-1000, 1000).map(lambda n: n / 8), min_size=1))
def test_what_a_state_says(numbers):
    says = summary(state(NUMBER, *numbers))
    ordered = sorted(numbers)
    assert (says.count, says.newest) == (len(numbers), TIME)
    assert (says.total, says.mean) == (sum(numbers), sum(numbers) / len(numbers))
    assert math.isclose(says.std, statistics.pstdev(numbers), abs_tol=1e-9)
    assert (says.least, says.greatest) == (ordered[0], ordered[-1])
    assert ordered[0] <= min(says.p50, says.p95, says.p99) <= max(says.p50, says.p95, says.p99) <= ordered[-1]
    for q, found in (
        (0.5, says.p50),
        (0.95, says.p95),
        (0.99, says.p99),
        (0.25, quantile(state(NUMBER, *numbers), 0.25)),
    ):
        assert math.isclose(found, ordered[math.floor(q * (len(ordered) - 1))], rel_tol=0.0101)
    if len(set(numbers)) < 50:
        assert abs(says.distinct - len(set(numbers))) <= 1
    buckets = histogram(state(NUMBER, *numbers))
    assert sum(count for _, count in buckets) == len(numbers)
    assert [value for value, _ in buckets] == sorted(value for value, _ in buckets)


def test_texts_and_vectors():
    says = summary(state(TEXT, "idle", "busy", "idle"))
    assert (says.count, says.distinct, says.total, says.vector) == (3, 2, None, None)
    says = summary(state(VECTOR, [1, 2, 3], [0.5, 0, -3]))
    assert (says.count, says.vector, says.distinct) == (2, (0.75, 1.0, 0.0), None)
    assert quantile(state(TEXT, "a"), 0.5) is None
    assert histogram(state(VECTOR, [1, 2, 3])) is None


def test_booleans_and_zeros_are_the_numbers_that_they_are():
    assert encode(state(NUMBER, True, 0.0, -0.0)) == encode(state(NUMBER, 1, 0, 0.0))


def test_other_kinds_are_not_merged():
    with pytest.raises(ValueError, match="different kinds"):
        merge(state(NUMBER, 1.0), state(TEXT, "a"))
    with pytest.raises(ValueError, match="different kinds"):
        merge(state(VECTOR, [1, 2, 3]), state(Shape(ValueKind.VECTOR, 2), [1, 2]))


PACKED = msgspec.msgpack.decode(encode(state(NUMBER, 1.0, 2.0, 5.0)))
HUGE = 1 << 40


def changed(path, value):
    packed = msgspec.msgpack.decode(msgspec.msgpack.encode(PACKED))
    inner = packed
    for place in path[:-1]:
        inner = inner[place]
    inner[path[-1]] = value
    return msgspec.msgpack.encode(packed)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        changed([0], 2),
        changed([1], "Image"),
        changed([1], "Text"),
        changed([2], 1),
        changed([3, 0, 0], 0),
        changed([3, 0, 0], HUGE << 20),
        changed([3, 0, 0], 2),
        changed([3, 1], [HUGE, 1]),
        changed([3, 1], [-1, 1]),
        changed([3, 2], [0, b"\x01" * 10_000]),
        changed([3, 3], math.inf),
        changed([3, 5], []),
        changed([3, 5], [0]),
        changed([3, 5], [HUGE, 1, 3]),
        changed([3, 5], [0, HUGE, 3]),
        changed([3, 5], [0, 5, 1, 4, 2]),
        changed([3, 5], [0, 5, 3, 6, 0]),
        changed([3, 6], []),
        changed([3, 6], [HUGE]),
        changed([3, 6], [1 << 6 | 63]),
        changed([3, 6], b"\x00" * 17),
        changed([3, 6], b"\xff" * 4096),
        msgspec.msgpack.encode((1, "Vector", 0, [[1, 1], [0]])),
        msgspec.msgpack.encode((1, "Vector", 2, [[1, 1], [0, [0, 1]]])),
        msgspec.msgpack.encode((1, "Vector", 1, [[1, 1], [0, 1]])),
        msgspec.msgpack.encode((1, "Vector", 1, [[1, 1], [HUGE, [0, 1]]])),
    ],
)
def test_what_is_no_state_is_refused_and_costs_nothing(data):
    with pytest.raises(ValueError):  # noqa: PT011 - msgspec's errors are among them
        decode(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_refused_or_a_state(data):
    try:
        found = decode(data)
    except ValueError:
        return
    assert isinstance(found, State)
    used(found)


def used(found):
    for each in (found, merge(found, found), merge(found, state(NUMBER, 1.0)) if found.shape == NUMBER else found):
        encode(each)
        summary(each)
        quantile(each, 1.0)
        histogram(each)


SPOILT = [encode(each) for each in (state(NUMBER, *range(-30, 90)), state(TEXT, "a", "b"), state(VECTOR, [1, 2, 3]))]


@pytest.mark.slow
@given(st.sampled_from(SPOILT), st.lists(st.tuples(st.integers(0, 1000), st.integers(0, 255)), min_size=1, max_size=3))
@settings(max_examples=1000)
def test_a_spoilt_state_is_refused_or_of_use(data, changes):
    data = bytearray(data)
    for at, byte in changes:
        data[at % len(data)] = byte
    try:
        found = decode(bytes(data))
    except ValueError:
        return
    used(found)


@pytest.mark.parametrize("bucket", [1 << 18, -(1 << 18)])
def test_buckets_beyond_all_floats(bucket):
    used(decode(changed([3, 5], [10, bucket, 3])))


def test_no_site_can_make_distinct_values_impossible():
    packed = msgspec.msgpack.decode(encode(state(NUMBER, 1.0, 2.0)))
    halves = [(b"\x35" * 2048 + b"\x00" * 2048)[::step] for step in (1, -1)]
    hostile = [decode(msgspec.msgpack.encode([*packed[:3], [*packed[3][:6], half]])) for half in halves]
    assert [summary(each).distinct for each in (*hostile, merge(*hostile))] == [2, 2, 4]


def test_a_state_is_bounded():
    rng = np.random.default_rng(1)
    numbers = rng.lognormal(0, 12, 50_000)
    parts = [state(NUMBER, *chunk) for chunk in numbers.reshape(10, -1)]
    assert len(encode(reduce(merge, parts))) < 16_384
