from datetime import UTC, datetime, timedelta

import pytest

from skerry_core.store.errors import StoreCredentialsRefusedError
from skerry_core.store.location import S3Access, open_store
from tests.unit.store.canned import Answer, canned_server

NOW = datetime(2026, 8, 1, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "accessKey").write_text("first\n")
    (tmp_path / "secretKey").write_text("hush\n")
    return tmp_path


def test_each_request_is_signed_with_the_pair_that_the_folder_holds_by_then(folder):
    with canned_server(Answer(200, b"data", {"ETag": '"1"'})) as server:
        store = open_store("s3://skerry", S3Access(server.url, key_folder=folder))
        assert b"".join(store.get("key")) == b"data"
        (folder / "accessKey").write_text("second")
        assert b"".join(store.get("key")) == b"data"
        signed_by = [headers["Authorization"].split("Credential=")[1].split("/")[0] for *_, headers in server.requests]
    assert signed_by == ["first", "second"]
    assert "Credential=second" in store.presign_get("key", NOW, timedelta(hours=1))
    assert store.post_form("sites/a/", NOW, timedelta(hours=1), 1).fields["x-amz-credential"].startswith("second/")


@pytest.mark.parametrize("name", ["accessKey", "secretKey"])
def test_the_fingerprint_tells_pairs_apart_and_shows_none(folder, name):
    store = open_store("s3://skerry", S3Access("http://localhost:1", key_folder=folder))
    before = store.key_fingerprint()
    assert store.key_fingerprint() == before
    assert "hush" not in before
    (folder / name).write_text("other")
    assert store.key_fingerprint() != before


@pytest.mark.parametrize("spoil", [lambda path: path.unlink(), lambda path: path.write_text(" \n")])
@pytest.mark.parametrize("name", ["accessKey", "secretKey"])
def test_a_folder_without_a_pair_is_told_by_name(folder, name, spoil):
    store = open_store("s3://skerry", S3Access("http://localhost:1", key_folder=folder))
    spoil(folder / name)
    with pytest.raises(StoreCredentialsRefusedError, match=name):
        store.stat("key")
