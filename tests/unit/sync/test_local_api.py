import json

import pytest

from skerry_core.errors import RetryError, UserMustActError, WaitError
from skerry_edge.sync.local_api import ASSIGNMENTS, LocalApi
from tests.unit.store.canned import Answer, canned_server

ITEM = {"metadata": {"name": "current", "resourceVersion": "7"}}
NEWER = {"metadata": {"name": "current", "resourceVersion": "8"}}


def listing(*items) -> Answer:
    return Answer(body=json.dumps({"items": items, "metadata": {"resourceVersion": "7"}}).encode())


def events(*lines: dict) -> Answer:
    return Answer(body=b"".join(json.dumps(line).encode() + b"\n" for line in lines))


def failed(status: int, message: str = "because") -> Answer:
    return Answer(status, json.dumps({"kind": "Status", "message": message}).encode())


@pytest.fixture
def credentials(tmp_path):
    (tmp_path / "token").write_text("secret-token\n")
    return tmp_path


def follow(server, credentials) -> list[dict]:
    seen = []
    LocalApi(server.url, credentials).follow(ASSIGNMENTS, "current", seen.append)
    return seen


def test_tells_the_object_and_its_later_versions(credentials):
    bookmark = {"type": "BOOKMARK", "object": {}}
    with canned_server(listing(ITEM), events(bookmark, {"type": "MODIFIED", "object": NEWER})) as server:
        assert follow(server, credentials) == [ITEM, NEWER]
        (_, first, headers), (_, second, _) = server.requests
    assert first == f"{ASSIGNMENTS}?fieldSelector=metadata.name%3Dcurrent"
    assert "watch=true&resourceVersion=7&timeoutSeconds=" in second
    assert headers["Authorization"] == "Bearer secret-token"


def test_all_nodes_are_told_and_their_later_versions(credentials):
    listed, seen = [], []
    with canned_server(listing(ITEM, ITEM), events({"type": "MODIFIED", "object": NEWER})) as server:
        LocalApi(server.url, credentials).follow_nodes(listed.extend, seen.append)
        (_, first, _), (_, second, _) = server.requests
    assert (listed, seen) == ([ITEM, ITEM], [NEWER])
    assert first.endswith("/runtimenodes")
    assert "runtimenodes?watch=true&resourceVersion=7" in second


@pytest.mark.parametrize(
    "events_seen",
    [
        (),
        ({"type": "DELETED", "object": ITEM},),
        ({"type": "ERROR", "object": {"code": 410, "message": "too old resource version"}},),
    ],
    ids=["nothing happened", "deleted", "forgotten (410)"],
)
def test_what_is_not_there_is_not_told(credentials, events_seen):
    with canned_server(listing(), events(*events_seen)) as server:
        assert follow(server, credentials) == []


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (failed(401), RetryError, "ApiUnauthorized"),
        (failed(403), WaitError, "ApiForbidden"),
        (failed(404), WaitError, "ApiNotFound"),
        (failed(409), RetryError, "ApiConflict"),
        (failed(422), UserMustActError, "ApiRejected"),
        (failed(429), RetryError, "ApiUnavailable"),
        (failed(500), RetryError, "ApiUnavailable"),
        (Answer(503, b"<html>"), RetryError, "ApiUnavailable"),
        (Answer(200, b"<html>"), RetryError, "ApiUnavailable"),
        (Answer(200, b"{}"), RetryError, "ApiUnavailable"),
        (Answer(200, b"{", announced=100), RetryError, "ApiUnavailable"),
    ],
)
def test_every_answer_has_its_retry_policy(credentials, answer, kind, reason):
    with canned_server(answer) as server, pytest.raises(kind) as caught:
        follow(server, credentials)
    assert caught.value.reason == reason


def test_an_error_in_the_watch_is_tried_again(credentials):
    error = {"type": "ERROR", "object": {"code": 500, "message": "etcd is gone"}}
    with canned_server(listing(), events(error)) as server, pytest.raises(RetryError, match="etcd is gone"):
        follow(server, credentials)


def test_a_watch_that_breaks_off_is_tried_again(credentials):
    with canned_server(listing(), Answer(body=b'{"type"', announced=50)) as server, pytest.raises(RetryError):
        follow(server, credentials)


def test_without_a_token_nothing_is_asked(tmp_path):
    with canned_server(listing()) as server, pytest.raises(RetryError) as caught:
        follow(server, tmp_path)
    assert caught.value.reason == "ApiUnauthorized"
    assert server.requests == []


def test_the_token_is_read_for_every_request(credentials):
    with canned_server(listing(), events(), listing(), events()) as server:
        follow(server, credentials)
        (credentials / "token").write_text("next-token")
        follow(server, credentials)
        tokens = [headers["Authorization"] for _, _, headers in server.requests]
    assert tokens == ["Bearer secret-token"] * 2 + ["Bearer next-token"] * 2


def test_a_server_that_is_down_is_tried_again(credentials):
    with canned_server(listing()) as server:
        pass
    with pytest.raises(RetryError) as caught:
        follow(server, credentials)
    assert caught.value.reason == "ApiUnavailable"


@pytest.mark.parametrize("error", [OSError(28, "no space left on device"), ValueError("a fault of ours")])
@pytest.mark.parametrize("first", [listing(ITEM), listing()], ids=["listed", "watched"])
def test_faults_of_the_one_who_is_told_are_not_the_servers(credentials, error, first):
    def seen(_: dict) -> None:
        raise error

    change = {"type": "ADDED", "object": ITEM}
    with canned_server(first, events(change)) as server, pytest.raises(type(error)) as caught:
        LocalApi(server.url, credentials).follow(ASSIGNMENTS, "current", seen)
    assert caught.value is error


@pytest.mark.parametrize("event", [{"object": ITEM}, {"type": "ADDED"}, ["ADDED"]])
def test_events_that_are_none_are_the_servers_fault(credentials, event):
    with canned_server(listing(), events(event)) as server, pytest.raises(RetryError) as caught:
        follow(server, credentials)
    assert caught.value.reason == "ApiUnavailable"


def test_nodes_are_listed_within_bounds(credentials):
    with canned_server(listing(ITEM, NEWER), listing()) as server:
        api = LocalApi(server.url, credentials)
        assert (api.nodes(), api.nodes()) == ([ITEM, NEWER], [])
    assert server.requests[0][1].endswith("/runtimenodes?limit=500")
