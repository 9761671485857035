"""Uploads of a real log to a store in memory, killed and failing anywhere."""

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from skerry_core.errors import RetryError, WaitError
from skerry_edge.events.segment import segment_firsts
from skerry_edge.sync import upload as module
from skerry_edge.sync.batching import MAX_RECORDS
from skerry_edge.sync.layout import Layout
from skerry_edge.sync.upload import PERIOD, Uploader
from tests.unit.sync.logs import Log, Outbox, records_of

DOWN = WaitError("StoreUnavailable", "can't be reached")


class Node:
    """One node's volume with its log and its store."""

    def __init__(self, root: Path, outbox: Outbox | None = None):
        self.layout = Layout(root)
        self.layout.uploaded.parent.mkdir(parents=True)
        self.log = Log(root)
        self.outbox = outbox or Outbox()
        self.restart()

    def restart(self) -> None:
        self.uploader = Uploader(self.layout, "node-1", lambda: self.outbox, CollectorRegistry())

    def drain(self) -> None:
        while self.uploader.step() < PERIOD:
            pass

    @property
    def stored(self) -> list[tuple[str, int]]:
        return [record for key in sorted(self.outbox.objects) for record in records_of(self.outbox.objects[key])]

    @property
    def segments(self) -> list[int]:
        return segment_firsts(self.layout.log)


@pytest.fixture
def node(tmp_path):
    node = Node(tmp_path)
    yield node
    node.log.close()


def test_uploads_everything_once_and_in_order(node):
    node.log.append(MAX_RECORDS + 50)
    node.drain()
    assert node.stored == node.log.appended
    assert len(node.outbox.objects) == 2
    node.drain()
    assert len(node.outbox.objects) == 2


def test_uploaded_segments_go_and_the_open_one_stays(node):
    node.log.append(100)
    assert len(node.segments) > 2
    newest = node.segments[-1]
    node.drain()
    assert node.segments == [newest]


def test_the_note_says_what_the_store_has(node):
    node.log.append(7)
    node.drain()
    assert json.loads(node.layout.uploaded.read_bytes()) == {"epoch": node.log.epoch, "seq": 7}
    node.restart()
    assert node.uploader.uploaded == 7


def test_before_inference_ever_ran_there_is_nothing_to_do(tmp_path):
    uploader = Uploader(Layout(tmp_path), "node-1", Outbox, CollectorRegistry())
    assert uploader.step() == PERIOD


def test_a_lost_note_is_made_good_by_the_listing(node):
    node.log.append(10)
    node.drain()
    node.layout.uploaded.unlink()
    node.restart()
    node.log.append(5)
    node.drain()
    assert node.stored == node.log.appended


def test_a_listing_that_ingest_has_emptied_is_made_good_by_the_note(node):
    node.log.append(10)
    node.drain()
    taken = node.stored
    node.outbox.objects.clear()
    node.restart()
    node.log.append(5)
    node.drain()
    assert taken + node.stored == node.log.appended


def test_a_listing_cut_off_and_a_lost_note_repeat_records_and_lose_none(tmp_path):
    node = Node(tmp_path, Outbox(listed=1))
    for _ in range(3):
        node.log.append(10)
        node.drain()
    node.layout.uploaded.unlink()
    node.restart()
    node.drain()
    assert set(node.stored) == set(node.log.appended)
    node.log.close()


def test_a_store_that_is_down_keeps_everything_and_heals_without_a_restart(node):
    node.outbox.fault = DOWN
    node.log.append(30)
    segments = node.segments
    for _ in range(3):
        with pytest.raises(WaitError):
            node.uploader.step()
    assert node.segments == segments
    node.outbox.fault = None
    node.drain()
    assert node.stored == node.log.appended


def test_a_failure_is_told_once_it_has_lasted(node, monkeypatch):
    times = iter([100.0, 101.0, 100.0 + module.PATIENCE])
    monkeypatch.setattr(module.time, "monotonic", lambda: next(times))
    node.outbox.fault = DOWN
    with pytest.raises(WaitError):
        node.uploader.step()
    assert node.uploader.failure is None
    assert node.uploader.failure is DOWN
    node.outbox.fault = None
    node.drain()
    assert node.uploader.failure is None


def test_an_unreadable_epoch_is_waited_for(node):
    node.layout.node.write_bytes(b"{")
    with pytest.raises(RetryError) as caught:
        node.uploader.step()
    assert caught.value.reason == "LogUnreadable"


def test_records_after_a_power_cut_skip_are_uploaded_too(node):
    node.log.append(10)
    node.drain()
    appended = list(node.log.appended)
    node.log.close()
    node.log = Log(node.layout.root, boot_id="boot-2")
    node.log.append(10)
    node.drain()
    assert node.stored == appended + node.log.appended


class KilledError(BaseException):
    """Stands for SIGKILL: nothing catches it and nothing runs after it."""


class Killer:
    """Kills at the n-th of the moments at which a step changes the store or the disk, before or after the change."""

    def __init__(self, node: Node, moment: int):
        self._left = moment
        self._patches = [
            patch.object(node.outbox, "upload", self._deadly(node.outbox.upload)),
            patch.object(module, "write_file", self._deadly(module.write_file)),
            patch.object(Path, "unlink", self._deadly(Path.unlink)),
            patch.object(module, "fsync_directory", self._deadly(module.fsync_directory)),
        ]

    def _deadly(self, action):
        def act(*args, **options):
            self._tick()
            result = action(*args, **options)
            self._tick()
            return result

        return act

    def _tick(self):
        self._left -= 1
        if self._left == 0:
            raise KilledError

    def __enter__(self):
        for each in self._patches:
            each.start()

    def __exit__(self, *_):
        for each in self._patches:
            each.stop()


@pytest.mark.parametrize("moment", range(1, 13))
def test_killed_at_any_moment_of_a_step_it_loses_nothing(tmp_path, moment):
    node = Node(tmp_path)
    node.log.append(20)
    node.drain()
    node.log.append(60)
    with suppress(KilledError), Killer(node, moment):
        node.uploader.step()
    node.restart()
    node.log.append(5)
    node.drain()
    assert sorted(set(node.stored)) == sorted(node.log.appended)
    node.log.close()


class Happening:
    """What may happen to a node, as steps of a story."""

    @staticmethod
    def append(node: Node, count: int) -> None:
        node.log.append(count)

    @staticmethod
    def step(node: Node, _: int) -> None:
        with suppress(WaitError):
            node.uploader.step()

    @staticmethod
    def kill(node: Node, moment: int) -> None:
        with suppress(KilledError, WaitError), Killer(node, moment):
            node.uploader.step()
        node.restart()

    @staticmethod
    def toggle_outage(node: Node, _: int) -> None:
        node.outbox.fault = None if node.outbox.fault else DOWN

    @staticmethod
    def lose_the_note(node: Node, _: int) -> None:
        node.layout.uploaded.unlink(missing_ok=True)
        node.restart()

    @staticmethod
    def restart_inference(node: Node, count: int) -> None:
        node.log.close()
        appended = node.log.appended
        node.log = Log(node.layout.root, boot_id=f"boot-{count}")
        node.log.appended = appended


happenings = st.sampled_from(
    [
        Happening.append,
        Happening.step,
        Happening.kill,
        Happening.toggle_outage,
        Happening.lose_the_note,
        Happening.restart_inference,
    ]
)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(happenings, st.integers(1, 40)), max_size=25), st.integers(1, 5))
def test_whatever_happens_the_union_of_batches_is_the_log(story, listed):
    with tempfile.TemporaryDirectory() as folder:
        node = Node(Path(folder), Outbox(listed))
        for happen, number in story:
            happen(node, number)
        node.outbox.fault = None
        node.drain()
        assert sorted(set(node.stored)) == sorted(node.log.appended)
        node.log.close()
