from datetime import UTC, datetime

import pytest

from skerry_core.errors import UserMustActError
from skerry_core.store import http
from skerry_core.store.confinement import check_confinement
from skerry_core.store.errors import StoreUnavailableError
from tests.unit.store.canned import Answer, canned_server
from tests.unit.store.test_s3_answers import store_at

NOW = datetime(2026, 8, 1, tzinfo=UTC)
DELETED = Answer(204)
XML = {"Content-Type": "application/xml", "ETag": '"1"'}
POSTED = Answer(201, b"<PostResponse/>", XML)
THERE = Answer(200, b"?", {"ETag": '"1"'})
NOT_THERE = Answer(404, b"", {})
LISTED = Answer(200, b"<ListBucketResult><Name>skerry</Name><IsTruncated>false</IsTruncated></ListBucketResult>", XML)


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(http, "_BACKOFF_SECONDS", 0.0)


def test_a_server_that_refuses_the_climb_passes():
    refused = Answer(403, b"<Error><Code>AccessDenied</Code></Error>", XML)
    with canned_server(DELETED, refused, NOT_THERE, LISTED) as server:
        check_confinement(store_at(server.url), NOW)
        assert [method for method, _, _ in server.requests] == ["DELETE", "POST", "HEAD", "GET"]


def test_a_server_that_keeps_the_key_as_it_is_passes():
    with canned_server(DELETED, POSTED, NOT_THERE, LISTED) as server:
        check_confinement(store_at(server.url), NOW)
        assert server.requests[2][1] == "/skerry/probes/outside"


def test_a_server_that_resolves_the_climb_is_found_out_and_cleaned():
    with canned_server(DELETED, POSTED, THERE, DELETED) as server:
        with pytest.raises(UserMustActError, match="use another S3 server") as caught:
            check_confinement(store_at(server.url), NOW)
        assert [(method, path) for method, path, _ in server.requests][-1] == ("DELETE", "/skerry/probes/outside")
    assert caught.value.reason == "StoreNotConfining"


@pytest.mark.parametrize("answers", [(Answer(503),), (DELETED, Answer(503, b"", XML))])
def test_a_server_that_is_down_proves_nothing(answers):
    with canned_server(*answers) as server, pytest.raises(StoreUnavailableError):
        check_confinement(store_at(server.url), NOW)


def test_a_server_that_is_gone_proves_nothing():
    with canned_server(DELETED) as server:
        store = store_at(server.url)
        store.delete("probes/outside")
        store.delete = lambda _: None
    with pytest.raises(StoreUnavailableError, match="can't be reached"):
        check_confinement(store, NOW)
