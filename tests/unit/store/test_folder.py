import errno
import os
from pathlib import Path

import pytest

from skerry_core import durable
from skerry_core.store.errors import (
    StoreAddressInvalidError,
    StoreCredentialsRefusedError,
    StoreFullError,
    StoreUnavailableError,
)
from skerry_core.store.folder import FolderStore
from tests.unit.store.conformance import StoreConformance


class TestFolderStore(StoreConformance):
    @pytest.fixture
    def store(self, tmp_path_factory):
        return FolderStore(tmp_path_factory.mktemp("store"))


@pytest.fixture
def store(tmp_path):
    return FolderStore(tmp_path)


def test_a_key_that_is_another_keys_folder_is_refused(store):
    store.put("a", b"leaf")
    with pytest.raises(StoreAddressInvalidError):
        store.put("a/b", b"below it")
    store.put("c/d", b"leaf")
    with pytest.raises(StoreAddressInvalidError):
        store.put("c", b"above it")
    assert b"".join(store.get("a")) == b"leaf"


@pytest.mark.parametrize("link", ["folder/key", "key"])
def test_links_do_not_lead_out(tmp_path, link):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "key").write_text("secret")
    root = tmp_path / "store"
    root.mkdir()
    (root / link.split("/")[0]).symlink_to(outside if "/" in link else outside / "key")
    store = FolderStore(root)
    for operation in (lambda: store.put(link, b"x"), lambda: b"".join(store.get(link)), lambda: store.stat(link)):
        with pytest.raises(StoreAddressInvalidError, match="leads out"):
            operation()
    assert list(store.list("")) == []
    assert (outside / "key").read_text() == "secret"


def test_unfinished_writes_are_no_objects(store, tmp_path):
    (tmp_path / ".key.0a1b2c3d.tmp").write_text("half")
    assert list(store.list("")) == []
    with pytest.raises(StoreAddressInvalidError, match="unfinished"):
        store.stat(".key.0a1b2c3d.tmp")


def test_a_failed_write_leaves_nothing(store, tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    store.put("key", b"old")
    monkeypatch.setattr(durable.os, "fsync", full)
    with pytest.raises(StoreFullError, match="make room") as caught:
        store.put("key", b"new")
    assert caught.value.reason == "StoreFull"
    assert [path.name for path in tmp_path.iterdir()] == ["key"]
    assert b"".join(store.get("key")) == b"old"


def test_a_missing_root_is_waited_for(tmp_path):
    store = FolderStore(tmp_path / "not-mounted")
    for operation in (lambda: store.put("key", b"x"), lambda: store.stat("key"), lambda: list(store.list(""))):
        with pytest.raises(StoreUnavailableError, match="mount the disk") as caught:
            operation()
        assert caught.value.reason == "StoreUnavailable"
    assert not (tmp_path / "not-mounted").exists()


def test_denied_access_is_for_somebody_to_give(store, monkeypatch):
    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("skerry_core.store.folder.write_chunks", denied)
    with pytest.raises(StoreCredentialsRefusedError, match="give this user access"):
        store.put("key", b"x")


def test_new_folders_survive_a_power_cut(store, tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        durable.os, "fsync", lambda fd: (synced.append(str(Path(f"/proc/self/fd/{fd}").readlink())), real(fd))
    )
    store.put("a/b/key", b"data")
    assert [str(tmp_path), str(tmp_path / "a"), str(tmp_path / "a" / "b")] == [
        path for path in synced if "tmp" not in path.rpartition("/")[2]
    ]
