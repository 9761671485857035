"""The S3 adapter against a real S3 server, right and wrong."""

import pytest

from skerry_core.store.errors import (
    StoreBucketMissingError,
    StoreCredentialsRefusedError,
    StoreUnavailableError,
)
from tests.integration.ports import free_port
from tests.unit.store.conformance import StoreConformance, whole

pytestmark = pytest.mark.lab


class TestS3Store(StoreConformance):
    @pytest.fixture
    def store(self, s3_server, bucket):
        return s3_server.store(bucket)


class TestS3StoreWithPrefix(StoreConformance):
    @pytest.fixture
    def store(self, s3_server, bucket):
        s3_server.store(bucket).put("models-of-others/key", b"not below the prefix")
        return s3_server.store(bucket, prefix="models")


def operations(store):
    return {
        "put": lambda: store.put("key", b"data"),
        "get": lambda: whole(store, "key"),
        "stat": lambda: store.stat("key"),
        "list": lambda: list(store.list("")),
        "delete": lambda: store.delete("key"),
    }


OPERATIONS = list(operations(None))


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("wrong", [{"secret_key": "wrong-wrong-wrong"}, {"access_key": "nobody"}])
def test_wrong_credentials_are_for_somebody_to_correct(s3_server, bucket, operation, wrong):
    store = s3_server.store(bucket, **wrong)
    with pytest.raises(StoreCredentialsRefusedError, match="correct the key pair") as caught:
        operations(store)[operation]()
    assert caught.value.reason == "StoreCredentialsRefused"
    assert "wrong-wrong-wrong" not in str(caught.value)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_missing_bucket_is_for_somebody_to_create(s3_server, operation):
    store = s3_server.store("no-such-bucket")
    with pytest.raises(StoreBucketMissingError, match="no-such-bucket") as caught:
        operations(store)[operation]()
    assert caught.value.reason == "StoreBucketMissing"


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_server_that_is_down_is_waited_for(s3_server, operation):
    store = s3_server.store("skerry", endpoint=f"http://127.0.0.1:{free_port()}")
    with pytest.raises(StoreUnavailableError) as caught:
        operations(store)[operation]()
    assert caught.value.reason == "StoreUnavailable"


def test_heals_by_itself_when_the_server_comes_back(s3_server, store):
    store.put("key", b"before")
    s3_server.stop()
    try:
        with pytest.raises(StoreUnavailableError):
            whole(store, "key")
    finally:
        s3_server.start()
    assert whole(store, "key") == b"before"
