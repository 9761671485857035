"""The granted client against answers of a store, and of what stands in its place."""

from datetime import UTC, datetime, timedelta

import pytest

from skerry_core import digest as digests
from skerry_core.errors import WaitError
from skerry_core.store import http
from skerry_core.store.errors import (
    GrantExpiredError,
    GrantRefusedError,
    ObjectMissingError,
    StoreAddressInvalidError,
    StoreRefusedError,
    StoreUnavailableError,
)
from skerry_core.store.grant import S3GrantIssuer, StoreGrant, UploadGrant, renew_at, site_prefix
from skerry_core.store.granted import GrantedStore
from skerry_core.store.port import ObjectInfo
from skerry_core.store.s3 import S3Settings, S3Store
from tests.unit.store.canned import Answer, canned_server
from tests.unit.store.test_s3_answers import PAGES

NOW = datetime(2026, 8, 1, 12, tzinfo=UTC)
DATA = b"0123456789"
DIGEST = digests.of_bytes(DATA)
XML = {"Content-Type": "application/xml", "ETag": '"1"'}
POSTED = b'<PostResponse><Bucket>skerry</Bucket><Key>sites/site-a/events/1</Key><ETag>"1"</ETag></PostResponse>'


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http, "_BACKOFF_SECONDS", 0.0)


def error(code, message=""):
    return f"<Error><Code>{code}</Code><Message>{message}</Message></Error>".encode()


def granted(url, resend=None):
    return GrantedStore(
        StoreGrant(
            site="site-a",
            expires_at=NOW,
            blobs={DIGEST: f"{url}/skerry/blob?X-Amz-Signature=secret-signature"},
            list_url=f"{url}/skerry?list&X-Amz-Signature=secret-signature",
            resend_url=None if resend is None else f"{url}{resend}",
            upload=UploadGrant(url=f"{url}/skerry", fields={"policy": "p"}, prefix="sites/site-a/", max_bytes=100),
        )
    )


OPERATIONS = {
    "get": lambda store: b"".join(store.get(DIGEST, 0, 100)),
    "list": lambda store: store.list_own(),
    "upload": lambda store: store.upload("events/1", b"data"),
}


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_page_in_the_stores_place_is_recognized(page, operation):
    with canned_server(PAGES[page]) as server, pytest.raises(WaitError) as caught:
        OPERATIONS[operation](granted(server.url))
    assert caught.value.reason == "StoreAnswersWithPage"


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (403, error("AccessDenied", "Request has expired"), GrantExpiredError),
        (403, error("AccessDenied", "Invalid according to Policy: Policy expired."), GrantExpiredError),
        (400, error("ExpiredToken", "The provided token has expired."), GrantExpiredError),
        (403, error("SignatureDoesNotMatch", "no match"), GrantRefusedError),
        (403, error("AccessDenied", "Access Denied"), GrantRefusedError),
        (404, error("XAdminUserNotFound", "user does not exist"), GrantRefusedError),
        (404, error("NoSuchKey"), ObjectMissingError),
        (400, error("EntityTooLarge", "too large"), StoreRefusedError),
        (429, error("SlowDown"), StoreUnavailableError),
        (503, error("SlowDown"), StoreUnavailableError),
    ],
)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_refusals_by_kind(status, body, expected, operation):
    with canned_server(Answer(status, body, XML)) as server, pytest.raises(expected) as caught:
        OPERATIONS[operation](granted(server.url))
    assert caught.value.reason == expected.__name__.removesuffix("Error")
    assert "secret-signature" not in str(caught.value)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_unreachable_store_is_waited_for_and_its_urls_kept_secret(operation):
    with canned_server(Answer()) as server:
        store = granted(server.url)
    with pytest.raises(StoreUnavailableError, match="can't be reached") as caught:
        OPERATIONS[operation](store)
    assert "secret-signature" not in str(caught.value)


def test_a_get_resumes_where_it_broke_off():
    cut = Answer(200, DATA[:4], {"ETag": '"1"'}, announced=10)
    rest = Answer(206, DATA[4:], {"ETag": '"1"', "Content-Range": "bytes 4-9/10"})
    with canned_server(cut, rest) as server:
        store = granted(server.url)
        chunks = store.get(DIGEST, 0, 10)
        received = next(chunks)
        with pytest.raises(StoreUnavailableError, match="broke off"):
            next(chunks)
        received += b"".join(store.get(DIGEST, len(received), 10))
    assert received == DATA
    assert server.requests[1][2]["Range"] == "bytes=4-"


def test_a_get_from_the_end_on_gives_nothing():
    answer = Answer(416, error("InvalidRange"), XML)
    with canned_server(answer) as server:
        assert list(granted(server.url).get(DIGEST, 10, 10)) == []


@pytest.mark.parametrize("start", [0, 4])
def test_endless_data_is_stopped(start):
    with canned_server(Answer(200, DATA, {"ETag": '"1"'})) as server, pytest.raises(StoreRefusedError, match="larger"):
        list(granted(server.url).get(DIGEST, start, 9))


def test_a_blob_that_is_not_in_the_grant_is_waited_for():
    with pytest.raises(WaitError) as caught:
        list(granted("http://localhost").get(digests.of_bytes(b"other"), 0, 10))
    assert caught.value.reason == "GrantLacksBlob"


def test_an_upload_counts_when_the_store_names_the_object():
    with canned_server(Answer(201, POSTED, XML)) as server:
        granted(server.url).upload("events/1", b"data")
        assert [(method, path) for method, path, _ in server.requests] == [("POST", "/skerry")]


@pytest.mark.parametrize(
    "answer",
    [
        Answer(201, b"", {}),
        Answer(201, b"created", {"Content-Type": "text/plain"}),
        Answer(201, POSTED.replace(b"events/1", b"events/2"), XML),
        Answer(204, b"", XML),
        Answer(200, POSTED, XML),
    ],
)
def test_an_upload_does_not_count_otherwise(answer):
    with canned_server(answer) as server, pytest.raises((WaitError, StoreRefusedError)):
        granted(server.url).upload("events/1", b"data")


def test_an_upload_is_bounded_before_it_is_sent():
    with canned_server(Answer(201, POSTED, XML)) as server, pytest.raises(StoreRefusedError, match="101 bytes"):
        granted(server.url).upload("events/1", bytes(101))
    assert server.requests == []


def test_an_upload_can_not_climb():
    with pytest.raises(StoreAddressInvalidError):
        granted("http://localhost").upload("../site-b/events/1", b"data")


@pytest.mark.parametrize("truncated", [True, False])
def test_a_listing_says_whether_it_is_all(truncated):
    body = (
        '<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated><EncodingType>url</EncodingType>"
        "<Contents><Key>sites/site-a/events/n%C3%B6de/1</Key><Size>17</Size></Contents></ListBucketResult>"
    )
    with canned_server(Answer(200, body.encode(), XML)) as server:
        listing = granted(server.url).list_own()
    assert listing.objects == (ObjectInfo("events/nöde/1", 17),)
    assert listing.complete is not truncated


def test_an_issuer_grants_what_is_assigned_and_the_own_prefix_alone():
    store = S3Store(S3Settings("https://s3.example.com", "skerry", "access", "hush", prefix="edge"))
    grant = S3GrantIssuer(store, lifetime=timedelta(minutes=10), max_upload_bytes=5).issue("site-a", [DIGEST] * 2, NOW)
    assert grant.expires_at == NOW + timedelta(minutes=10)
    assert list(grant.blobs) == [DIGEST]
    assert grant.blobs[DIGEST].startswith(f"https://s3.example.com/skerry/edge/blobs/sha256/{digests.hex_of(DIGEST)}?")
    assert "X-Amz-Expires=600" in grant.blobs[DIGEST]
    assert "X-Amz-Date=20260801T120000Z" in grant.blobs[DIGEST]
    assert "prefix=edge%2Fsites%2Fsite-a%2F" in grant.list_url
    assert "prefix=edge%2Fsites%2Fsite-a%2Fresend%2F&" in grant.resend_url
    assert grant.upload.prefix == "edge/sites/site-a/"
    assert renew_at(grant, timedelta(minutes=10)) == NOW + timedelta(minutes=5)
    assert "hush" not in grant.model_dump_json()
    assert StoreGrant.model_validate_json(grant.model_dump_json(by_alias=True)) == grant


def test_a_session_token_goes_with_every_signature():
    store = S3Store(S3Settings("https://s3.example.com", "skerry", "access", "hush", session_token="the-token"))
    grant = S3GrantIssuer(store).issue("site-a", [DIGEST], NOW)
    assert "X-Amz-Security-Token=the-token" in grant.blobs[DIGEST]
    assert "X-Amz-Security-Token=the-token" in grant.list_url
    assert grant.upload.fields["x-amz-security-token"] == "the-token"


@pytest.mark.parametrize("name", ["", "..", "site-a/../site-b", "Site", "site-a/", "a" * 64])
def test_what_is_no_site_gets_no_prefix(name):
    with pytest.raises(ValueError, match="validation error"):
        site_prefix(name)


@pytest.mark.parametrize(
    ("start", "end", "asked"), [(0, None, None), (0, 4, "bytes=0-3"), (3, None, "bytes=3-"), (3, 5, "bytes=3-4")]
)
def test_asks_for_exactly_the_bytes_that_it_wants(start, end, asked):
    part = DATA[start:end]
    heads = {"ETag": '"1"'} | ({"Content-Range": f"bytes {start}-{start + len(part) - 1}/10"} if asked else {})
    with canned_server(Answer(206 if asked else 200, part, heads)) as server:
        assert b"".join(granted(server.url).get(DIGEST, start, 10, end)) == part
    assert server.requests[0][2].get("Range") == asked


def test_an_empty_range_is_not_asked_for():
    assert list(granted("http://localhost").get(DIGEST, 5, 10, 5)) == []


def test_lists_what_the_hub_asks_for_again():
    key = "resend/node-1/s/e/00000000000000000001-00000000000000000009"
    body = f"<ListBucketResult><Contents><Key>sites/site-a/{key}</Key></Contents></ListBucketResult>".encode()
    with canned_server(Answer(200, body, XML)) as server:
        assert granted(server.url, resend="/resends").list_resends().objects == (ObjectInfo(key, 0),)
    assert server.requests[0][1] == "/resends"


def test_a_grant_of_an_older_hub_asks_for_nothing_again():
    assert granted("http://localhost").list_resends().objects == ()
