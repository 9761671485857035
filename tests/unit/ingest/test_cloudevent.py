"""What CloudEvents 1.0 asks of an event, and the form in which every event is stored."""

import json
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.ingest.cloudevent import from_bytes, from_json, is_json, is_uri_reference
from skerry_edge.ingest.errors import MalformedError
from skerry_edge.ingest.limits import MAX_DEPTH, MAX_VALUES

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/sensors/1", "type": "t"}


def encoded(**changes):
    event = {**REQUIRED, **changes}
    return json.dumps({name: value for name, value in event.items() if value is not ...}).encode()


def reason(raw):
    with pytest.raises(MalformedError) as refused:
        from_json(raw)
    return refused.value.reason


def test_the_least_event():
    event = from_json(encoded())
    assert (event.source, event.id, event.type, event.subject, event.time) == ("/sensors/1", "1", "t", None, None)
    assert event.body == b'{"specversion":"1.0","id":"1","source":"/sensors/1","type":"t"}'
    assert event.entity == "/sensors/1"
    assert event.given_id


def test_the_entity_is_the_subject_where_there_is_one():
    assert from_json(encoded(subject="patient-7")).entity == "patient-7"


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize(
    ("value", "expected"),
    [(..., "AttributeMissing"), (None, "AttributeMissing"), ("", "InvalidAttribute"), (1, "InvalidAttribute")],
)
def test_required_attributes(name, value, expected):
    assert reason(encoded(**{name: value})) == expected


@pytest.mark.parametrize("version", ["0.3", "1", "1.0.2", "1.1", "2.0"])
def test_other_versions(version):
    assert reason(encoded(specversion=version)) == "UnknownVersion"


@pytest.mark.parametrize(
    "changes",
    [
        {"subject": ""},
        {"subject": 5},
        {"subject": "x" * 1025},
        {"id": "x" * 1025},
        {"time": 5},
        {"time": ""},
        {"datacontenttype": "json"},
        {"datacontenttype": "text/plain; charset"},
        {"datacontenttype": "text/plain\n"},
        {"dataschema": "schema/1"},
        {"dataschema": "http://a b"},
        {"source": "with space"},
        {"source": "ünïcode"},
        {"source": "a#b#c"},
        {"source": "1a:b"},
        {"source": "%zz"},
        {"ext": 1.5},
        {"ext": {"a": 1}},
        {"ext": [1]},
        {"ext": 1 << 31},
        {"ext": -(1 << 31) - 1},
        {"ext": "tab\there"},
        {"ext": "\x7f"},
        {"ext": "\x85"},
        {"ext": "\ufffe"},
        {"ext": "\U0001ffff"},
        {"id": "nul\x00"},
    ],
)
def test_values_that_attributes_may_not_have(changes):
    assert reason(encoded(**changes)) in {"InvalidAttribute", "InvalidTime"}


@pytest.mark.parametrize("name", ["Ext", "ext_1", "ext-1", "ext.1", "", "éxt", "e" * 65, "ext 1"])
def test_names_that_attributes_may_not_have(name):
    assert reason(encoded(**{name: "x"})) == "InvalidAttributeName"


@pytest.mark.parametrize(
    "changes",
    [
        {"ext": True},
        {"ext": 0},
        {"ext": (1 << 31) - 1},
        {"ext": -(1 << 31)},
        {"ext": ""},
        {"ext": "grüße 😀"},
        {"e" * 64: "x"},
        {"0": "x"},
        {"subject": "a subject with anything: ☃"},
        {"dataschema": "https://example.test/schema#v1"},
        {"datacontenttype": 'text/plain; charset="utf-8"', "data": "x"},
        {"source": "urn:uuid:6e8bc430-9c3a-11d9-9669-0800200c9a66"},
        {"source": "https://example.test/a?b=c#d"},
        {"source": "sensor-1"},
        {"source": "?q"},
        {"source": "%20"},
    ],
)
def test_values_that_attributes_may_have(changes):
    assert json.loads(from_json(encoded(**changes)).body) == {**REQUIRED, **changes}


def test_null_attributes_are_absent():
    assert from_json(encoded(subject=None, time=None, ext=None)).body == from_json(encoded()).body


def test_too_many_attributes():
    assert reason(encoded(**{f"a{n}": "x" for n in range(61)})) == "TooManyAttributes"


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", "InvalidJson"),
        (b"nonsense", "InvalidJson"),
        (b"[]", "NotAnObject"),
        (b'"x"', "NotAnObject"),
        (b"null", "NotAnObject"),
        (b"\xef\xbb\xbf{}", "InvalidJson"),
        (encoded() + b"{}", "InvalidJson"),
        (encoded()[:-1], "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b'"\xff"'), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b'"\\ud800"'), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b'"\\ud800 x"'), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"NaN"), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"1e999"), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"01"), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"18446744073709551616"), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"[-9223372036854775809]"), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"9" * 5000), "InvalidJson"),
        (encoded(data="x").replace(b'"x"', b"[" * 1000 + b"]" * 1000), "TooDeep"),
        (encoded(data="x").replace(b'"x"', b"[" * 100_000 + b"]" * 100_000), "TooManyValues"),
        (encoded(data="x").replace(b'"x"', b"[" * MAX_DEPTH + b"]" * MAX_DEPTH), "TooDeep"),
        (encoded(data="x").replace(b'"x"', b'[{"a":' * 16 + b"1" + b"}]" * 16), "TooDeep"),
        (encoded(data=[0] * MAX_VALUES), "TooManyValues"),
        (encoded(data="x", data_base64="eA=="), "TwoData"),
        (encoded(data_base64="not base64!"), "InvalidData"),
        (encoded(data_base64="eA"), "InvalidData"),
        (encoded(data_base64=5), "InvalidData"),
        (encoded(data_base64=None), "InvalidData"),
        (encoded(datacontenttype="text/xml", data={"a": 1}), "InvalidData"),
    ],
)
def test_malformed_events(raw, expected):
    assert reason(raw) == expected


@pytest.mark.parametrize(
    "data",
    [
        b"[" * (MAX_DEPTH - 1) + b"]" * (MAX_DEPTH - 1),
        b'"' + b"[{" * 100 + b'\\"[[[[' + b'"',
        b'"' + b"," * (MAX_VALUES + 5) + b'"',
        b"18446744073709551615",
        b"-9223372036854775808",
        b'"123456789012345678901234567890"',
        b"1.0",
        b"1e5",
        b'{"b":1,"a":{"z":[true,false,null]}}',
        b'"\\u00e9\\ud83d\\ude00"',
        b"null",
    ],
)
def test_data_stays_as_it_was_written(data):
    event = from_json(encoded(data="x").replace(b'"x"', data))
    assert event.body == from_json(encoded()).body[:-1] + b',"data":' + data + b"}"


def test_white_space_between_tokens_is_taken_out():
    raw = (
        b'{ "specversion" : "1.0",\n"id":"1","source":"/sensors/1",\r\n"type":"t", "data" : { "a b" : [ 1 ,\n2 ] } }\n'
    )
    assert from_json(raw).body == from_json(encoded()).body[:-1] + b',"data":{"a b":[1,2]}}'


def test_of_a_member_that_is_there_twice_the_last_counts_everywhere():
    raw = encoded()[:-1] + b',"id":"2"}'
    event = from_json(raw)
    assert event.id == "2"
    assert json.loads(event.body)["id"] == "2"


_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)
_texts = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cn"]), min_size=1, max_size=40)


@given(
    data=_values,
    event_id=_texts,
    subject=st.none() | _texts,
    extensions=st.dictionaries(
        st.from_regex(r"x[a-z0-9]{0,19}", fullmatch=True),
        st.booleans() | st.integers(-(1 << 31), (1 << 31) - 1) | _texts,
    ),
    indent=st.sampled_from([None, 2]),
    ascii_only=st.booleans(),
)
def test_reading_is_idempotent_and_loses_nothing(data, event_id, subject, extensions, indent, ascii_only):
    said = {"data": data, **extensions, **REQUIRED, "id": event_id, "subject": subject}
    event = from_json(json.dumps(said, indent=indent, ensure_ascii=ascii_only).encode())
    expected = {name: value for name, value in said.items() if value is not None or name == "data"}
    assert json.loads(event.body) == expected
    assert from_json(event.body) == event
    assert b"\n" not in event.body


@pytest.mark.parametrize(
    ("content_type", "content", "expected"),
    [
        ("application/json", b' {"a": 1} ', {"data": {"a": 1}}),
        ("application/vnd.x+json; charset=utf-8", b"[1]", {"data": [1]}),
        ("text/plain", "grüße".encode(), {"data": "grüße"}),
        ("text/plain", b"\xff", {"data_base64": "/w=="}),
        ("application/octet-stream", b"abc", {"data_base64": "YWJj"}),
        (None, b"abc", {"data_base64": "YWJj"}),
        (None, b"", {}),
        ("application/json", b"", {}),
    ],
)
def test_data_beside_its_attributes(content_type, content, expected):
    attributes = dict(REQUIRED) | ({"datacontenttype": content_type} if content_type else {})
    assert json.loads(from_bytes(attributes, content).body) == attributes | expected


def test_json_beside_its_attributes_must_be_json():
    with pytest.raises(MalformedError, match="not JSON"):
        from_bytes({**REQUIRED, "datacontenttype": "application/json"}, b"{")


@given(content=st.binary(min_size=1, max_size=200))
def test_bytes_stay_what_they_were(content):
    body = json.loads(from_bytes({**REQUIRED, "datacontenttype": "application/x"}, content).body)
    assert body["data_base64"] == b64encode(content).decode()


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", True),
        ("Application/JSON; charset=utf-8", True),
        ("text/json", True),
        ("application/cloudevents+json", True),
        ("application/jsonl", False),
        ("text/plain", False),
        ("json", True),
        ("", False),
    ],
)
def test_what_is_json(content_type, expected):
    assert is_json(content_type) is expected


@given(text=st.text(max_size=200))
def test_any_text_is_judged_in_time(text):
    is_uri_reference(text)
