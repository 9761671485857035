"""A store that would kill who opens it kills a child, and is built again."""

import os
import subprocess
import sys

import lmdb
import pytest

from skerry_edge.features import probe as probing
from skerry_edge.features.ports import Change, StoreDamagedError
from skerry_edge.features.probe import DAMAGED, open_probed, probe
from skerry_edge.features.store import LmdbStore
from tests.unit.features.test_store import ONE, entity, note

PAGE = 4096


@pytest.fixture
def folder(tmp_path):
    store = LmdbStore(tmp_path)
    for start in range(0, 3000, 1000):
        entities = {b"%d" % number: entity(b"x" * 100) for number in range(start, start + 1000)}
        store.commit([Change(ONE, note(e=start), entities)])
    store.commit([Change(ONE, note(e=9), {b"%d" % number: None for number in range(500)})])
    store.checked()
    store.close()
    return tmp_path


def child(folder, parent=None):
    command = [sys.executable, "-m", probing.__name__, str(folder), str(parent or os.getpid())]
    return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.mark.slow
def test_it_does_not_outlive_its_parent(folder):
    assert child(folder, 1) == 1


@pytest.mark.slow
def test_what_is_sound_is_opened(folder, tmp_path_factory):
    assert child(folder) == 0
    store = open_probed(folder)
    assert store.notes() == {ONE: note(e=9)}
    store.close()
    open_probed(tmp_path_factory.mktemp("fresh")).close()


@pytest.mark.slow
@pytest.mark.long
def test_no_page_of_garbage_kills_who_serves(folder):
    path = folder / "lmdb" / "data.mdb"
    whole = path.read_bytes()
    pages = len(whole) // PAGE
    died = damaged = 0
    for page in range(2, pages, max(1, pages // 8)):
        data = bytearray(whole)
        data[page * PAGE + 8 : (page + 1) * PAGE] = os.urandom(PAGE - 8)
        path.write_bytes(data)
        code = child(folder)
        died += code < 0
        damaged += code == DAMAGED
        if code:
            with pytest.raises(StoreDamagedError):
                open_probed(folder)
    assert damaged + died


def test_a_child_that_dies_of_a_signal_is_damage(folder, monkeypatch):
    run = subprocess.run
    monkeypatch.setattr(
        probing.subprocess, "run", lambda _, **options: run(["/bin/sh", "-c", "kill -SEGV $$"], **options)
    )
    with pytest.raises(StoreDamagedError, match="signal 11"):
        probe(folder)


@pytest.mark.slow
@pytest.mark.parametrize("left", [b"", bytes(8192), None])
def test_who_was_killed_while_making_it_left_no_damage(tmp_path, left):
    (tmp_path / "lmdb").mkdir()
    if left is None:
        lmdb.open(str(tmp_path / "lmdb"), max_dbs=1).close()
    else:
        (tmp_path / "lmdb" / "data.mdb").write_bytes(left)
    (tmp_path / "opening").touch()
    open_probed(tmp_path).close()


@pytest.mark.parametrize("how", ["fails", "can't be started", "hangs"])
def test_a_child_that_can_not_tell_is_no_damage(folder, monkeypatch, how):
    def run(command, **options):
        if how == "can't be started":
            raise OSError(12, "no memory")
        if how == "hangs":
            raise subprocess.TimeoutExpired(command, 1)
        return subprocess.CompletedProcess(command, 1, b"", b"no such module")

    monkeypatch.setattr(probing.subprocess, "run", run)
    open_probed(folder).close()
