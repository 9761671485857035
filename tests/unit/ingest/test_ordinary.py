"""The quick way for ordinary events makes of each what the whole way makes of it, or leaves it alone."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.ingest import cloudevent, ordinary
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.limits import MAX_RAW_EVENT

GOOD = {"specversion": "1.0", "id": "a", "source": "/presses/7", "type": "t"}
TIMES = [
    *("2026-01-31T12:00:00Z", "2026-01-31T12:00:00.5Z", "2026-01-31T12:00:00.123456789Z", "2026-06-30T23:59:60Z"),
    *("2026-01-31t12:00:00z", "2026-01-31T12:00:00.25+01:30", "9999-12-31T23:59:60.9Z", "2026-02-31T12:00:00Z"),
    *("2026-01-31T12:00:00.Z", "2026-01-31T12:00:00", "2026-01-31T12:00:00.٣Z", "2026-01-31T12:00:0Z", "Z", ""),
    *(f"2026-01-31T12:00:00.{'7' * digits}Z" for digits in (64, 65)),
]
TEXTS = st.one_of(
    st.sampled_from(
        ["", "a", "press 7", "/a/b", "a:b", "1:b", "%zz", "é", "\x00", "\u0085", "\ufffe", "x" * 1024, "x" * 1025]
    ),
    st.text(max_size=5),
)
ATTRIBUTES = st.fixed_dictionaries(
    {},
    optional={
        "specversion": st.sampled_from(["1.0", "0.3", 1]),
        "id": TEXTS,
        "source": TEXTS,
        "type": TEXTS,
        "subject": st.one_of(TEXTS, st.none()),
        "time": st.sampled_from(TIMES),
        "datacontenttype": st.sampled_from(["application/json", "text/json; charset=utf-8", "text/plain", "json", ""]),
        "dataschema": st.sampled_from(["https://example.com/s", "s", ""]),
        "region": st.one_of(TEXTS, st.integers(0, 3)),
        "data_base64": st.just("AAAA"),
        "data": st.recursive(
            st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
            lambda inner: st.one_of(
                st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
            ),
            max_leaves=8,
        ),
    },
)


def whole(raw):
    try:
        return cloudevent.from_json(raw)
    except MalformedError as error:
        return error.reason, str(error)


def quick(*raws):
    found = ordinary.read_all(raws)
    return [whole(raw) if event is None else event for raw, event in zip(raws, found, strict=True)]


@st.composite
def texts(draw):
    event = {**{name: GOOD[name] for name in draw(st.permutations(list(GOOD)))}, **draw(ATTRIBUTES)}
    text = json.dumps(event, indent=draw(st.sampled_from([None, 1])), ensure_ascii=draw(st.booleans()))
    return text.encode(errors="surrogatepass")


@pytest.mark.slow
@given(texts())
def test_the_same_event_or_the_same_refusal(raw):
    assert quick(raw) == [whole(raw)]


ODD = [
    b",".join((json.dumps(GOOD).encode()[:-1], tail)) + b"}"
    for tail in (
        b'"data":{"a":1e999}',
        b'"data":"\xff"',
        b'"data":12345678901234567890123',
        b'"data":1234567890123456789',
        b'"data":1.0e0,"data":2',
        b'"data":1e999,"data":2',
        b'"d\\u0061ta":1e999,"data":2',
        b'"data":{"data":1e999}',
        b'"data":{"a": "1 2", "b" : [ ] }',
        b'"id":"b","\\u0069d":"c"',
        b'"subject":"a","subject":null',
        b'"data":' + b"[" * 33 + b"]" * 33,
        b'"data":[' + b"1," * 20_000 + b"1]",
    )
]


@pytest.mark.parametrize("raw", [*ODD, b"", b" ", b"5"])
def test_what_is_odd(raw):
    assert quick(raw) == [whole(raw)]


@given(st.lists(st.one_of(texts(), st.sampled_from(ODD)), max_size=8))
def test_together_they_are_what_each_is_alone(raws):
    assert quick(*raws) == [whole(raw) for raw in raws]


@pytest.mark.parametrize("time", TIMES)
def test_times(time):
    raw = json.dumps({**GOOD, "time": time}).encode()
    assert quick(raw) == [whole(raw)]


ORDINARY = [
    json.dumps({**GOOD, **more}, indent=indent).encode()
    for more in ({}, {"subject": "press-7"}, {"time": "2026-01-31T12:00:00.5Z", "data": {"a": 1}}, {"data": ["é", 1]})
    for indent in (None, 1)
]


def test_ordinary_events_go_the_quick_way():
    for raw in ORDINARY:
        assert ordinary.read_all([raw]) == [whole(raw)]
    assert ordinary.read_all(500 * ORDINARY) == 500 * [whole(raw) for raw in ORDINARY]
    assert ordinary.read_all([]) == []


def test_an_odd_one_costs_others_nothing_but_time():
    large = json.dumps({**GOOD, "data": "x" * MAX_RAW_EVENT}).encode()
    raws = [*ORDINARY, b'{"a":1}', *ORDINARY, large, *ORDINARY]
    found = ordinary.read_all(raws)
    assert [raw for raw, event in zip(raws, found, strict=True) if event is None] == [b'{"a":1}', large]
    assert [event for event in found if event is not None] == 3 * [whole(raw) for raw in ORDINARY]
