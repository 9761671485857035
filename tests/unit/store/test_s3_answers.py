"""What the S3 adapter makes of answers that are not a store's, or not a healthy store's."""

import pytest

from skerry_core.errors import WaitError
from skerry_core.store import http
from skerry_core.store.errors import StoreAddressInvalidError, StoreRefusedError, StoreUnavailableError
from skerry_core.store.s3 import S3Settings, S3Store
from tests.unit.store.canned import Answer, canned_server

LOGIN = b"<!DOCTYPE html><html><body>Please log in</body></html>"
PAGES = {
    "login page": Answer(200, LOGIN, {"Content-Type": "text/html; charset=utf-8"}),
    "login page with an ETag": Answer(200, LOGIN, {"Content-Type": "text/html", "ETag": '"1"'}),
    "denied page": Answer(403, LOGIN, {"Content-Type": "text/html"}),
    "redirect to a login page": Answer(302, b"", {"Location": "http://login.invalid/", "Content-Type": "text/plain"}),
    "captive portal": Answer(511, LOGIN, {"Content-Type": "text/html"}),
    "text": Answer(200, b"hello", {"Content-Type": "text/plain"}),
}
FOREIGN = {
    "XML of something else": Answer(200, b"<soap><Fault/></soap>", {"Content-Type": "application/xml"}),
    "XML that is none": Answer(200, b"<soap", {"Content-Type": "text/xml"}),
    "bytes": Answer(200, b"\xff\xfe\x00", {"Content-Type": "application/xml"}),
    "an error that is none": Answer(403, b"<", {"Content-Type": "application/xml"}),
}
OPERATIONS = {
    "put": lambda store: store.put("key", b"data"),
    "get": lambda store: b"".join(store.get("key")),
    "stat": lambda store: store.stat("key"),
    "list": lambda store: list(store.list("")),
}


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """No waiting between tries."""
    monkeypatch.setattr(http, "_BACKOFF_SECONDS", 0.0)


def store_at(url, **other):
    return S3Store(S3Settings(url, "skerry", "access", "secret", **other))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_page_in_the_stores_place_is_recognized(page, operation):
    with canned_server(PAGES[page]) as server, pytest.raises(WaitError, match="instead of S3") as caught:
        OPERATIONS[operation](store_at(server.url))
    assert caught.value.reason == "StoreAnswersWithPage"
    assert server.url in str(caught.value)


@pytest.mark.parametrize("answer", FOREIGN)
def test_a_listing_by_something_else_is_recognized(answer):
    with canned_server(FOREIGN[answer]) as server, pytest.raises(WaitError, match="instead of S3") as caught:
        list(store_at(server.url).list(""))
    assert caught.value.reason == "StoreAnswersWithPage"


@pytest.mark.slow
@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize(
    "answer",
    [
        Answer(503, b"<Error><Code>SlowDown</Code></Error>", {"Content-Type": "application/xml"}),
        Answer(502, b"<html>Bad Gateway</html>", {"Content-Type": "text/html"}),
        Answer(500, b"", {}),
    ],
)
def test_a_failing_store_is_asked_three_times_then_waited_for(operation, answer):
    with canned_server(answer) as server, pytest.raises(StoreUnavailableError) as caught:
        OPERATIONS[operation](store_at(server.url))
    assert caught.value.reason == "StoreUnavailable"
    assert len(server.requests) == 3


def test_a_retry_after_of_an_hour_is_not_sat_out():
    busy = Answer(503, b"", {"Retry-After": "3600"})
    there = Answer(200, b"data", {"ETag": '"1"', "Content-Type": "application/octet-stream"})
    with canned_server(busy, there) as server:
        assert b"".join(store_at(server.url).get("key")) == b"data"


def test_an_answer_cut_short_is_an_error():
    cut = Answer(200, b"half", {"ETag": '"1"'}, announced=8)
    with canned_server(cut) as server, pytest.raises(StoreUnavailableError, match="broke off"):
        list(store_at(server.url).get("key"))


@pytest.mark.parametrize(("start", "end"), [(0, 3), (4, 6), (4, None), (9, 12)])
def test_a_server_that_ignores_ranges_costs_bytes_but_not_correctness(start, end):
    with canned_server(Answer(200, b"0123456789", {"ETag": '"1"'})) as server:
        assert b"".join(store_at(server.url).get("key", start, end)) == b"0123456789"[start:end]


@pytest.mark.parametrize("sent", ["bytes 6-9/10", "bytes */10", "lines 4-9/10", ""])
def test_another_range_than_asked_for_is_an_error(sent):
    answer = Answer(206, b"789", {"ETag": '"1"', "Content-Range": sent})
    with canned_server(answer) as server, pytest.raises(StoreUnavailableError, match="range"):
        list(store_at(server.url).get("key", 4))


def test_an_unknown_refusal_keeps_the_servers_words():
    body = b"<Error><Code>InvalidStorageClass</Code><Message>no cold storage here</Message></Error>"
    answer = Answer(400, body, {"Content-Type": "application/xml"})
    with canned_server(answer) as server, pytest.raises(StoreRefusedError, match="no cold storage here"):
        store_at(server.url).put("key", b"data")


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://", "https://host/path"])
def test_refuses_what_is_no_endpoint(endpoint):
    with pytest.raises(StoreAddressInvalidError, match="is not an endpoint"):
        store_at(endpoint)


@pytest.mark.parametrize("bucket", ["UPPER_case!", "ab", "10.0.0.1", "a..b"])
def test_refuses_what_is_no_bucket(bucket):
    with pytest.raises(StoreAddressInvalidError, match="bucket"):
        S3Store(S3Settings("http://localhost", bucket, "access", "secret"))


def test_shows_no_secrets():
    settings = S3Settings("http://localhost", "skerry", "access", "hush", session_token="hush-too")
    assert "hush" not in repr(settings)
