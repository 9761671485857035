import pytest

from skerry_core.store.errors import StoreAddressInvalidError
from skerry_core.store.location import S3Access, open_store

ACCESS = S3Access("https://s3.example.com:9000", "access", "hush", session_token="hush-too")


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("s3://skerry", "s3://skerry"),
        ("s3://skerry/", "s3://skerry"),
        ("s3://skerry/edge/models/", "s3://skerry/edge/models"),
        ("file:///srv/skerry", "file:///srv/skerry"),
        ("file://localhost/srv/skerry/", "file:///srv/skerry"),
        ("file:///srv/a%20folder", "file:///srv/a%20folder"),
    ],
)
def test_opens_a_store_by_its_uri(uri, expected):
    assert open_store(uri, ACCESS).uri == expected


def test_a_folder_needs_no_access():
    assert open_store("file:///srv").uri == "file:///srv"


@pytest.mark.parametrize(
    "uri",
    ["", "skerry", "s3:", "s3://", "s3://b?versions", "http://host/b", "file://host/b", "file:b", "s3://bucket/a/../b"],
)
def test_refuses_what_is_no_store(uri):
    with pytest.raises(StoreAddressInvalidError):
        open_store(uri, ACCESS)


def test_a_bucket_needs_access():
    with pytest.raises(StoreAddressInvalidError, match="needs an endpoint"):
        open_store("s3://skerry")


def test_shows_no_secrets():
    assert "hush" not in repr(ACCESS)
