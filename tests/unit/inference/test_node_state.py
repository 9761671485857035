"""Files that outlive the process: intent, quarantine, activation, and reading the store folder."""

import json
import os

import pytest

from skerry_api.v1alpha1.modelrelease import FailedMetric
from skerry_core import digest as digests
from skerry_core.errors import WaitError
from skerry_edge.inference.activation.state import BadRelease, ModelKey
from skerry_edge.inference.durable_queue import DurableQueue
from skerry_edge.inference.intent import IntentFile
from skerry_edge.inference.kept import KeptFiles
from skerry_edge.inference.quarantine import QuarantineFile
from skerry_edge.inference.store_folder import BlobMissingError, StoreFolder
from tests.unit.inference.releases import AT, kept, release

KEY = ModelKey("team", "har")


def bad(number: int) -> BadRelease:
    return BadRelease(
        digest=release(number).digest,
        version=release(number).version,
        reason="CanaryFailed",
        failed_metric=FailedMetric(name="disagreement", observed=0.4, limit=0.1),
        at=AT,
    )


def test_intents_of_a_dead_process_are_found_with_how_it_died(tmp_path):
    path = tmp_path / "intent.json"
    intents = IntentFile(path, "boot-1")
    assert intents.left_behind() == ()
    intents.mark("team", "har", release(1), AT)
    intents.mark("team", "gait", release(2), AT)
    intents.clear(release(2).digest)
    ((intent, power_cut),) = IntentFile(path, "boot-1").left_behind()
    assert (intent.model, intent.release, power_cut) == ("har", release(1), False)
    ((_, power_cut),) = IntentFile(path, "boot-2").left_behind()
    assert power_cut
    intents.clear_all()
    assert not path.exists()
    path.write_text("{torn")
    assert IntentFile(path, "boot-1").left_behind() == ()


def test_an_intent_that_a_sick_disk_does_not_give_back_blames_nobody(tmp_path):
    path = tmp_path / "intent.json"
    path.mkdir()  # reading it is an OSError that is not FileNotFoundError
    assert IntentFile(path, "boot-1").left_behind() == ()


def test_forgetting_what_was_left_behind_keeps_what_was_marked_since(tmp_path):
    path = tmp_path / "intent.json"
    IntentFile(path, "boot-1").mark("team", "har", release(1), AT)
    intents = IntentFile(path, "boot-1")
    intents.mark("team", "har", release(2), AT)
    intents.clear_left_behind()  # a sick disk lets it happen this late
    ((intent, _),) = IntentFile(path, "boot-1").left_behind()
    assert intent.release == release(2)
    IntentFile(path, "boot-1").clear_left_behind()
    assert not path.exists()


def test_an_intent_that_could_not_be_written_is_not_marked(tmp_path, monkeypatch):
    intents = IntentFile(tmp_path / "gone" / "intent.json", "boot-1")
    with pytest.raises(OSError, match="No such"):
        intents.mark("team", "har", release(1), AT)
    assert not intents.is_marked(release(1).digest)


def test_quarantine_outlives_the_process(tmp_path):
    path = tmp_path / "quarantine.json"
    quarantine = QuarantineFile(path)
    quarantine.add(KEY, bad(1))
    quarantine.add(KEY, bad(2))
    assert QuarantineFile(path).of(KEY) == (bad(1), bad(2))
    assert QuarantineFile(path).of(ModelKey("team", "gait")) == ()


def test_an_entry_that_a_sick_disk_refuses_again_and_again_is_one_entry(tmp_path):
    quarantine = QuarantineFile(tmp_path / "state" / "quarantine.json")
    (tmp_path / "state").write_text("no folder")
    for _ in range(3):
        with pytest.raises(OSError, match="exists"):
            quarantine.add(KEY, bad(1))
    assert quarantine.of(KEY) == (bad(1),)
    (tmp_path / "state").unlink()
    quarantine.add(KEY, bad(1))
    assert QuarantineFile(tmp_path / "state" / "quarantine.json").of(KEY) == (bad(1),)


def test_an_unreadable_quarantine_is_not_taken_for_an_empty_one(tmp_path):
    path = tmp_path / "quarantine.json"
    path.write_text("{torn")
    with pytest.raises(WaitError) as stopped:
        QuarantineFile(path)
    assert stopped.value.reason == "StateUnreadable"


def test_activation_is_kept_by_model(tmp_path):
    files = KeptFiles(tmp_path / "activation")
    state = kept(release(1), release(0), interrupted=(release(2).digest,))
    files.write(state)
    (tmp_path / "activation" / "team.torn.json").write_text("{")
    assert KeptFiles(tmp_path / "activation").read_all() == (state,)
    files.remove(KEY)
    assert files.read_all() == ()


def test_what_a_sick_disk_refuses_is_written_later_and_in_order():
    queue = DurableQueue()
    written = []
    sick = {"disk": True}

    def write(name):
        def attempt():
            if sick["disk"] and name == "first":
                raise OSError("sick")
            written.append(name)

        return attempt

    queue.run(write("first"))
    queue.run(write("second"))
    assert written == []
    sick["disk"] = False
    queue.retry()
    assert written == ["first", "second"]


@pytest.fixture
def store(tmp_path):
    (tmp_path / "blobs" / "sha256").mkdir(parents=True)
    return tmp_path


def test_blobs_are_read_once_and_only_if_they_are_what_they_are_called(store):
    data = b"bytes"
    digest = digests.of_bytes(data)
    path = store / "blobs" / "sha256" / digests.hex_of(digest)
    with pytest.raises(BlobMissingError):
        StoreFolder(store).blob(digest, 100)
    path.write_bytes(data)
    assert StoreFolder(store).blob(digest, 5) == data
    for changed, limit, reason in [(b"bytez", 100, "DigestMismatch"), (data, 4, "BlobTooLarge")]:
        path.write_bytes(changed)
        with pytest.raises(WaitError) as refused:
            StoreFolder(store).blob(digest, limit)
        assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("name", "read", "empty"),
    [
        ("assignment.json", StoreFolder.assignment_envelope, None),
        ("restrictions.json", StoreFolder.restrictions, {}),
    ],
)
def test_files_of_sync_may_be_absent_but_not_torn(store, name, read, empty):
    assert read(StoreFolder(store)) == empty
    for torn in (b"", b"{", b"[]", b'{"envelope": 3, "quarantined": 3}', b"[" * 100_000, b"\xff"):
        (store / name).write_bytes(torn)
        with pytest.raises(WaitError):
            read(StoreFolder(store))


def test_downloads_only_explain(store):
    folder = StoreFolder(store)
    assert folder.downloads() == {}
    (store / "downloads.json").write_text("[{}]")
    assert folder.downloads() == {}
    entry = {"digest": "sha256:0", "reason": "StoreDown", "message": "wait", "received": 1, "size": 2}
    (store / "downloads.json").write_text(json.dumps([entry]))
    assert folder.downloads() == {"sha256:0": "StoreDown: wait"}


def test_the_stamp_tells_a_new_blob(store):
    folder = StoreFolder(store)
    before = folder.stamp()
    assert folder.stamp() == before
    (store / "blobs" / "sha256" / "new").write_bytes(b"")
    os.utime(store / "blobs" / "sha256", ns=(1, 1))
    assert folder.stamp() != before
