"""Requests to events, as the HTTP binding of CloudEvents says."""

import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skerry_edge.http.message import Request
from skerry_edge.ingest.cloudevent import Event
from skerry_edge.ingest.errors import Malformed, MalformedError, RefusedError
from skerry_edge.ingest.http_binding import decode_header, read_events
from skerry_edge.ingest.limits import MAX_EVENTS, MAX_RAW_EVENT

REQUIRED = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
HEADERS = {f"ce-{name}": value for name, value in REQUIRED.items()}


def read(content_type, body, **headers):
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if content_type is not None:
        given["content-type"] = content_type
    return read_events(Request("POST", "/", given, body if isinstance(body, bytes) else json.dumps(body).encode()), "s")


def bodies(events):
    assert all(isinstance(event, Event) for event in events), events
    return [json.loads(event.body) for event in events]


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=utf-8",
        'Application/CloudEvents+JSON; charset="UTF-8"',
    ],
)
def test_structured(content_type):
    assert bodies(read(content_type, REQUIRED)) == [REQUIRED]


def test_the_same_event_is_stored_the_same_by_every_way():
    event = {**REQUIRED, "ext": "5", "datacontenttype": "application/json", "data": {"a": [1, "ü"]}}
    raw = json.dumps(event).encode()
    data = json.dumps(event["data"]).encode()
    binary = read("application/json", data, **HEADERS, **{"ce-ext": "5"})
    ways = [
        read("application/cloudevents+json", raw),
        read("application/cloudevents-batch+json", b"[" + raw + b"]"),
        read("application/x-ndjson", raw + b"\n"),
        binary,
    ]
    (stored,) = {events[0].body for events in ways}
    assert json.loads(stored) == event


def test_a_batch_judges_each_event():
    events = read("application/cloudevents-batch+json", [REQUIRED, {"id": "2"}, 5, {**REQUIRED, "id": "3"}])
    assert [type(event) for event in events] == [Event, Malformed, Malformed, Event]
    assert [event.reason for event in events if isinstance(event, Malformed)] == ["AttributeMissing", "NotAnObject"]
    assert events[1].original == b'{"id": "2"}'


def test_an_empty_batch_has_no_events():
    assert read("application/cloudevents-batch+json", []) == []


@pytest.mark.parametrize("body", [b"{}", b"[", b"nonsense", b'[{"a":1}'])
def test_what_is_no_batch(body):
    with pytest.raises(MalformedError):
        read("application/cloudevents-batch+json", body)


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("application/cloudevents-batch+json", b"[" + b",".join([b"1"] * (MAX_EVENTS + 1)) + b"]"),
        ("application/x-ndjson", b"{}\n" * (MAX_EVENTS + 1)),
    ],
)
def test_too_many_events(content_type, body):
    with pytest.raises(RefusedError) as refused:
        read(content_type, body)
    assert (refused.value.status, refused.value.reason) == (413, "TooManyEvents")


@pytest.mark.parametrize(
    ("content_type", "headers"),
    [
        (None, {}),
        ("application/json", {}),
        ("text/plain", {"ce-id": "1"}),
        ("application/cloudevents", {}),
        ("application/cloudevents+avro", HEADERS),
        ("application/cloudevents-batch+avro", HEADERS),
        ("application/cloudevents+json; charset=latin-1", {}),
        ("application/x-ndjson; charset=utf-16", {}),
    ],
)
def test_media_types_that_are_not_taken(content_type, headers):
    with pytest.raises(RefusedError) as refused:
        read(content_type, REQUIRED, **headers)
    assert refused.value.status == 415


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        ("application/json", b'{"a":1}', {"datacontenttype": "application/json", "data": {"a": 1}}),
        ("text/plain", b"hi", {"datacontenttype": "text/plain", "data": "hi"}),
        ("image/png", b"\x89", {"datacontenttype": "image/png", "data_base64": "iQ=="}),
        (None, b"", {}),
    ],
)
def test_binary(content_type, body, expected):
    assert bodies(read(content_type, body, **HEADERS)) == [REQUIRED | expected]


@pytest.mark.parametrize(
    ("header", "value", "expected"),
    [
        ("ce-subject", "Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ("ce-subject", "Euro%20%e2%82%ac", "Euro €"),
        ("ce-subject", '"Euro € quoted"'.replace("€", "%E2%82%AC"), "Euro € quoted"),
        ("ce-subject", r'"a \"b\" \\ c"', r'a "b" \ c'),
        ("ce-subject", "plain words", "plain words"),
        ("ce-subject", "%2525", "%25"),
        ("ce-subject", "(no comment)", "(no comment)"),
    ],
)
def test_header_values_are_decoded_once(header, value, expected):
    (body,) = bodies(read(None, b"", **{**HEADERS, header: value}))
    assert body["subject"] == expected


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_percent_encoding_as_the_binding_has_it_comes_back(text):
    assert decode_header(quote(text, safe="".join(chr(c) for c in range(0x21, 0x7F) if chr(c) not in '"%'))) == text


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"ce-subject": "%"}, "InvalidHeader"),
        ({"ce-subject": "%4"}, "InvalidHeader"),
        ({"ce-subject": "%zz"}, "InvalidHeader"),
        ({"ce-subject": "%ff"}, "InvalidHeader"),
        ({"ce-subject": "%ED%A0%80"}, "InvalidHeader"),
        ({"ce-subject": "ü"}, "InvalidHeader"),
        ({"ce-subject": "a\tb"}, "InvalidHeader"),
        ({"ce-subject": ""}, "InvalidAttribute"),
        ({"ce-subject": '""'}, "InvalidAttribute"),
        ({"ce-subject": "%00"}, "InvalidAttribute"),
        ({"ce-datacontenttype": "text/plain"}, "InvalidHeader"),
        ({"ce-data": "x"}, "InvalidAttributeName"),
        ({"ce-my_ext": "x"}, "InvalidAttributeName"),
        ({"ce-": "x"}, "InvalidAttributeName"),
        ({"ce-specversion": "0.3"}, "UnknownVersion"),
        ({"ce-time": "yesterday"}, "InvalidTime"),
        ({"content-type": "nonsense"}, "InvalidAttribute"),
    ],
)
def test_malformed_headers(headers, reason):
    (event,) = read(None, b"x", **{**HEADERS, **headers})
    assert isinstance(event, Malformed)
    assert event.reason == reason


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/ndjson", "application/jsonl"])
def test_lines(content_type):
    events = read(content_type, b'\n{"specversion":"1.0","id":"1","source":"/s","type":"t"}\r\n\n{broken\n{"t":20.50}')
    assert [type(event) for event in events] == [Event, Malformed, Event]
    plain = json.loads(events[2].body)
    assert plain["data"] == {"t": 20.5}
    assert b'"data":{"t":20.50}' in events[2].body
    assert (plain["type"], plain["source"], plain["datacontenttype"]) == (
        "dev.skerry.plain",
        "/streams/s",
        "application/json",
    )
    assert not events[2].given_id


def test_plain_lines_without_a_key_are_all_different():
    events = read("application/x-ndjson", b"{}\n" * 100)
    assert len({event.id for event in events}) == 100


def test_plain_lines_with_a_key_have_the_same_ids_each_time():
    first, again = (read("application/x-ndjson", b'{"a":1}\n{"a":1}\n', idempotency_key="upload-7") for _ in range(2))
    assert [event.id for event in first] == [event.id for event in again] == ["upload-7-0", "upload-7-1"]
    assert all(event.given_id for event in first)


def test_plain_lines_take_attributes_from_the_requests_headers():
    (body,) = bodies(
        read(
            "application/x-ndjson",
            b'{"a":1}',
            **{"ce-source": "/gateway", "ce-type": "reading", "ce-id": "x", "ce-line": "7"},
        )
    )
    assert (body["source"], body["type"], body["line"]) == ("/gateway", "reading", "7")
    assert body["id"] != "x"


@pytest.mark.parametrize(
    "headers", [{"idempotency-key": "%"}, {"idempotency-key": "k" * 1010}, {"ce-x": "y" * 1024}, {"ce-x": "%"}]
)
def test_malformed_headers_of_lines(headers):
    with pytest.raises(MalformedError):
        read("application/x-ndjson", b"{}", **headers)


def test_a_line_that_is_too_long_costs_itself_only():
    large = json.dumps({**REQUIRED, "data": "x" * MAX_RAW_EVENT}).encode()
    events = read("application/x-ndjson", large + b"\n" + json.dumps(REQUIRED).encode())
    assert [getattr(event, "reason", None) for event in events] == ["TooLarge", None]


@given(
    body=st.binary(max_size=300),
    content_type=st.sampled_from(
        ["application/cloudevents+json", "application/x-ndjson", "application/cloudevents-batch+json", "text/plain"]
    ),
)
def test_no_bytes_break_the_reader(body, content_type):
    try:
        events = read(content_type, body, **HEADERS)
    except MalformedError:
        return
    assert all(isinstance(event, Event | Malformed) for event in events)
