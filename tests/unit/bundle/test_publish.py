"""Publishing and reading back, over a store whose every operation may fail."""

import json

import pytest

from skerry_core.bundle.fetch import (
    BundleIncompleteError,
    BundleMissingError,
    check_complete,
    read_manifest,
    read_reference,
    read_signature,
)
from skerry_core.bundle.manifest import BundleReference
from skerry_core.bundle.publish import Progress, push, storage_uri_of
from skerry_core.errors import UserMustActError
from skerry_core.store.blobs import blob_key
from skerry_core.store.errors import DigestMismatchError, StoreAddressInvalidError, StoreUnavailableError
from skerry_core.store.memory import MemoryStore, no_fault

URI = "s3://skerry/models/har/1.0.0"
REFERENCE = "models/har/1.0.0/bundle.json"


@pytest.fixture
def store():
    return MemoryStore("s3://skerry")


def test_what_is_pushed_reads_back_whole(store, signed):
    bundle = signed()
    reference = push(store, bundle, URI)
    assert read_reference(store, URI) == read_reference(store, URI, bundle.digest) == reference
    assert reference.manifest.digest == bundle.digest
    assert read_manifest(store, reference) == bundle.manifest_bytes
    assert read_signature(store, reference) == bundle.signature
    check_complete(store, bundle.manifest)
    assert storage_uri_of(store, bundle.manifest) == URI


def test_an_unsigned_bundle_is_refused_and_nothing_sent(store, packaged):
    with pytest.raises(UserMustActError, match="skerry sign") as caught:
        push(store, packaged(), URI)
    assert caught.value.reason == "BundleUnsigned"
    assert store.objects == {}


def test_pushing_again_sends_only_the_reference(store, signed):
    bundle, seen = signed(), []
    push(store, bundle, URI, seen.append)
    assert [(step.name, step.sent) for step in seen] == [("model.onnx", True), ("bundle.json", True)]
    puts = []
    store.fault = lambda operation, key: puts.append(key) if operation == "put" else None
    seen.clear()
    push(store, bundle, URI, seen.append)
    assert puts == [REFERENCE]
    assert seen[0] == Progress("model.onnx", bundle.manifest.files[0].size, sent=False)


def test_a_push_cut_off_anywhere_publishes_nothing_or_all_and_can_be_repeated(signed):
    bundle, operations = signed(), []
    push(MemoryStore("s3://skerry", lambda operation, _: operations.append(operation)), bundle, URI)
    assert operations[-1] == "put"
    for cut in range(len(operations)):
        left = iter(range(cut))

        def fault(operation, key, left=left):
            if next(left, None) is None:
                raise StoreUnavailableError("cut off")

        store = MemoryStore("s3://skerry", fault)
        with pytest.raises(StoreUnavailableError):
            push(store, bundle, URI)
        store.fault = no_fault
        with pytest.raises(BundleMissingError):
            read_reference(store, URI)
        push(store, bundle, URI)
        check_complete(store, bundle.manifest)
        assert read_manifest(store, read_reference(store, URI)) == bundle.manifest_bytes


def test_a_version_never_changes(store, signed):
    push(store, signed(), URI)
    before = dict(store.objects)
    with pytest.raises(UserMustActError, match="versions never change") as caught:
        push(store, signed(notes="another"), URI)
    assert caught.value.reason == "BundleExists"
    assert store.objects == before


def test_a_bundle_can_be_signed_anew(store, signed):
    push(store, signed(), URI)
    bundle = signed(signature=b'{"signature": 2}')
    push(store, bundle, URI)
    assert read_signature(store, read_reference(store, URI)) == b'{"signature": 2}'


def test_a_broken_reference_is_mended_by_pushing_again(store, signed):
    store.put(REFERENCE, b"<html>")
    push(store, signed(), URI)
    check_complete(store, signed().manifest)
    assert isinstance(read_reference(store, URI), BundleReference)


@pytest.mark.parametrize("part", ["file", "manifest", "signature"])
def test_a_damaged_part_of_the_right_size_is_mended_by_pushing_again(store, signed, part):
    bundle = signed()
    reference = push(store, bundle, URI)
    named = {"file": bundle.manifest.files[0], "manifest": reference.manifest, "signature": reference.signature}
    key = blob_key(named[part].digest)
    whole = store.objects[key]
    store.objects[key] = bytes([whole[0] ^ 1]) + whole[1:]
    push(store, bundle, URI)
    assert store.objects[key] == whole


def test_a_bundle_goes_into_its_own_store(store, signed):
    with pytest.raises(StoreAddressInvalidError, match="does not lie in the store"):
        push(store, signed(), "s3://elsewhere/models/har/1.0.0")


def test_a_missing_bundle_is_waited_for(store):
    with pytest.raises(BundleMissingError, match="skerry push") as caught:
        read_reference(store, URI)
    assert caught.value.reason == "BundleMissing"


@pytest.mark.parametrize("content", [b"", b"{}", b"<html>", json.dumps({"manifest": "sha256:0"}).encode()])
def test_a_reference_that_is_none_is_malformed(store, content):
    store.put(REFERENCE, content)
    with pytest.raises(UserMustActError, match=r"bundle\.json") as caught:
        read_reference(store, URI)
    assert caught.value.reason == "BundleMalformed"


def test_another_bundle_than_the_releases_is_a_mismatch(store, signed):
    push(store, signed(), URI)
    with pytest.raises(DigestMismatchError, match="the release names"):
        read_reference(store, URI, "sha256:" + "0" * 64)


@pytest.mark.parametrize("part", ["manifest", "signature"])
def test_a_lost_part_is_waited_for_and_a_forged_one_refused(store, signed, part):
    reference = push(store, signed(), URI)
    read = {"manifest": read_manifest, "signature": read_signature}[part]
    key = blob_key(getattr(reference, part).digest)
    genuine = store.objects.pop(key)
    with pytest.raises(BundleIncompleteError, match=part) as caught:
        read(store, reference)
    assert caught.value.reason == "BundleIncomplete"
    store.put(key, genuine[:-1] + b"?")
    with pytest.raises(DigestMismatchError):
        read(store, reference)


@pytest.mark.parametrize("held", [None, b"half"])
def test_a_lost_or_half_copied_file_is_waited_for(store, signed, held):
    bundle = signed()
    push(store, bundle, URI)
    key = blob_key(bundle.manifest.files[0].digest)
    del store.objects[key]
    if held:
        store.put(key, held)
    with pytest.raises(BundleIncompleteError, match=r"model\.onnx"):
        check_complete(store, bundle.manifest)


def test_a_store_that_is_down_says_so(store, signed):
    push(store, signed(), URI)

    def down(operation, key):
        raise StoreUnavailableError("down")

    store.fault = down
    with pytest.raises(StoreUnavailableError):
        read_reference(store, URI)
