"""What every store does alike. A test class inherits `StoreConformance` and gives a `store` fixture."""

import io
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skerry_core import digest as digests
from skerry_core.bundle.manifest import BlobRef
from skerry_core.store.blobs import blob_key, get_blob, has_blob, put_bytes, put_file, read_blob
from skerry_core.store.errors import (
    DigestMismatchError,
    ObjectMissingError,
    StoreAddressInvalidError,
    StoreRefusedError,
)
from skerry_core.store.location import key_of
from skerry_core.store.port import ObjectInfo, Store, read_object

BAD_KEYS = [
    "",
    "/",
    "/absolute",
    "folder/",
    "a//b",
    ".",
    "..",
    "../escape",
    "a/../b",
    "a/./b",
    "a/..",
    "a\\..\\b",
    "nul\0byte",
    "new\nline",
    "lone\udc80surrogate",
    "x" * 241,
    "/".join(["x" * 100] * 11),
]

segments = st.text("abcXYZ019-_.~ +=&?%äß字", min_size=1, max_size=12).filter(
    lambda text: text not in {".", ".."} and not (text.startswith(".") and text.endswith(".tmp"))
)
# Leaves differ from folders by their ending, so that no key is another one's folder.
keys = st.lists(segments, min_size=1, max_size=4).map(lambda parts: "/".join(parts) + "!")


def whole(store: Store, key: str, start: int = 0, end: int | None = None) -> bytes:
    return b"".join(store.get(key, start, end))


class StoreConformance:
    """Each store passes all of these; `store` is empty when a test begins."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError

    def test_gives_back_what_was_put(self, store):
        store.put("models/har/1.0.0/bundle.json", b"{}")
        assert whole(store, "models/har/1.0.0/bundle.json") == b"{}"

    def test_puts_nothing_at_all_as_an_empty_object(self, store):
        store.put("empty", b"")
        assert whole(store, "empty") == b""
        assert store.stat("empty") == ObjectInfo("empty", 0)

    def test_replaces_an_object(self, store):
        store.put("key", b"the first, longer one")
        store.put("key", b"the second")
        assert whole(store, "key") == b"the second"
        assert store.stat("key") == ObjectInfo("key", 10)

    def test_puts_a_stream_larger_than_any_buffer(self, store):
        data = bytes(range(256)) * (6 << 12) + b"tail"  # 6 MiB: more than one part of a multipart upload
        store.put("large", io.BytesIO(data), len(data))
        assert digests.of_chunks(store.get("large")) == digests.of_bytes(data)

    def test_asks_for_a_streams_size(self, store):
        with pytest.raises(TypeError, match="size"):
            store.put("key", io.BytesIO(b"data"))

    @pytest.mark.parametrize("given_size", [3, 5])
    def test_a_stream_of_another_size_than_announced_leaves_the_old_object(self, store, given_size):
        store.put("key", b"old")
        with pytest.raises(StoreRefusedError):
            store.put("key", io.BytesIO(b"1234"), given_size)
        assert whole(store, "key") == b"old"

    @pytest.mark.parametrize(
        ("start", "end"),
        [(0, None), (0, 4), (3, 7), (3, None), (9, 10), (9, 99), (10, None), (99, None), (4, 4), (7, 3)],
    )
    def test_reads_ranges_as_python_slices(self, store, start, end):
        store.put("key", b"0123456789")
        assert whole(store, "key", start, end) == b"0123456789"[start:end]

    def test_a_missing_object_is_missing(self, store):
        assert store.stat("nowhere/to/be/found") is None
        with pytest.raises(ObjectMissingError, match="nowhere") as caught:
            whole(store, "nowhere/to/be/found")
        assert caught.value.reason == "ObjectMissing"

    def test_a_folder_of_keys_is_no_object(self, store):
        store.put("folder/key", b"data")
        assert store.stat("folder") is None
        with pytest.raises(ObjectMissingError):
            whole(store, "folder")

    def test_asks_nothing_before_the_first_chunk_is_wanted(self, store):
        chunks = store.get("nowhere")
        store.put("nowhere", b"now it is")
        assert b"".join(chunks) == b"now it is"

    def test_deletes_and_deletes_again(self, store):
        store.put("a/b", b"data")
        store.delete("a/b")
        store.delete("a/b")
        store.delete("never/was")
        assert store.stat("a/b") is None

    def test_lists_below_a_prefix_in_order_of_bytes(self, store):
        names = ["sites/a/2", "sites/a/10", "sites/a-b/1", "sites/a/x/1", "sites/a.b", "sites/A", "other", "sites/ä/1"]
        for name in names:
            store.put(name, name.encode())
        listed = list(store.list("sites/"))
        assert [info.key for info in listed] == sorted((n for n in names if n.startswith("sites/")), key=str.encode)
        assert all(info.size == len(info.key.encode()) for info in listed)
        assert [info.key for info in store.list("sites/a/")] == ["sites/a/10", "sites/a/2", "sites/a/x/1"]
        assert [info.key for info in store.list("sites/a")][-1] == "sites/a/x/1"
        assert list(store.list("nothing/")) == []

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_refuses_what_is_no_key(self, store, key):
        for operation in (
            lambda: store.put(key, b"data"),
            lambda: store.stat(key),
            lambda: whole(store, key),
            lambda: store.delete(key),
        ):
            with pytest.raises(StoreAddressInvalidError):
                operation()
        assert list(store.list("")) == []

    @settings(
        max_examples=40,
        deadline=None,
        # One test, several stores: each example cleans up after itself, and each class is run as itself.
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
    )
    @given(key=keys, data=st.binary(max_size=200))
    def test_any_key_names_exactly_one_object(self, store, key, data):
        store.put(key, data)
        assert whole(store, key) == data
        assert ObjectInfo(key, len(data)) in set(store.list(""))
        store.delete(key)
        assert store.stat(key) is None

    def test_reads_bounded(self, store):
        store.put("key", b"0123456789")
        assert read_object(store, "key", 10) == b"0123456789"
        with pytest.raises(StoreRefusedError, match="larger"):
            read_object(store, "key", 9)

    def test_knows_its_keys_uris(self, store):
        assert key_of(store, f"{store.uri}/models/har/1.0.0/") == "models/har/1.0.0"
        for elsewhere in (
            "s3://elsewhere/models/har",
            store.uri,
            f"{store.uri}-other/models",
            f"{store.uri}/a/../../b",
        ):
            with pytest.raises(StoreAddressInvalidError):
                key_of(store, elsewhere)

    def test_keeps_blobs_by_digest(self, store, tmp_path):
        data = b"weights" * 1000
        path = tmp_path / "model.onnx"
        path.write_bytes(data)
        blob = BlobRef(digest=digests.of_bytes(data), size=len(data))
        assert not has_blob(store, blob)
        assert put_file(store, path, blob)
        assert has_blob(store, blob)
        assert not put_file(store, path, blob)
        assert put_bytes(store, data) == blob
        assert b"".join(get_blob(store, blob.digest)) == read_blob(store, blob.digest, len(data)) == data

    def test_replaces_a_blob_of_the_wrong_size(self, store):
        blob = put_bytes(store, b"whole")
        store.put(blob_key(blob.digest), b"who")
        assert not has_blob(store, blob)
        put_bytes(store, b"whole")
        assert read_blob(store, blob.digest, 5) == b"whole"

    @pytest.mark.parametrize("read", [lambda s, d: b"".join(get_blob(s, d)), lambda s, d: read_blob(s, d, 100)])
    def test_notices_damaged_blobs(self, store, read: Callable[[Store, str], bytes]):
        blob = put_bytes(store, b"genuine")
        store.put(blob_key(blob.digest), b"forgery")
        with pytest.raises(DigestMismatchError):
            read(store, blob.digest)

    def test_takes_back_a_file_that_is_not_what_its_digest_says(self, store, tmp_path):
        path = tmp_path / "model.onnx"
        path.write_bytes(b"forgery")
        blob = BlobRef(digest=digests.of_bytes(b"genuine"), size=7)
        with pytest.raises(DigestMismatchError):
            put_file(store, path, blob)
        assert store.stat(blob_key(blob.digest)) is None
