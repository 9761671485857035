import errno
import os
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.events import log as log_module
from skerry_edge.events.identity import POWER_CUT_SKIP, LogIdentity, load_identity, note_boot
from skerry_edge.events.log import PredictionLog, open_log
from skerry_edge.events.reader import read_from
from skerry_edge.events.segment import MAGIC, MAX_PAYLOAD, encode_frame, segment_firsts, segment_path

HERE = LogIdentity("epoch", rebooted=False)


def line(seq: int) -> bytes:
    return b'{"seq":%d,"pad":"%s"}' % (seq, b"x" * (seq % 40))


def fill(directory, count, **options):
    log = PredictionLog(directory, HERE, **options)
    numbers = [log.append(line) for _ in range(count)]
    log.close()
    return numbers


def test_appends_are_read_back_in_order(tmp_path):
    assert fill(tmp_path, 100) == list(range(1, 101))
    records = read_from(tmp_path, 1, 1000)
    assert [(record.seq, record.line) for record in records] == [(seq, line(seq)) for seq in range(1, 101)]


def test_a_record_can_be_read_before_any_sync(tmp_path):
    """What was appended survives the process; only the machine's death needs the sync."""
    log = PredictionLog(tmp_path, HERE)
    seq = log.append(line)
    assert [record.seq for record in read_from(tmp_path, 1, 10)] == [seq]
    log.close()


def test_numbers_go_on_after_a_restart(tmp_path):
    fill(tmp_path, 3)
    assert fill(tmp_path, 2) == [4, 5]
    assert segment_firsts(tmp_path) == [1]


def test_rotation_names_segments_by_their_first_number(tmp_path):
    fill(tmp_path, 200, segment_bytes=2000)
    firsts = segment_firsts(tmp_path)
    assert len(firsts) > 3
    assert [record.seq for record in read_from(tmp_path, 1, 1000)] == list(range(1, 201))
    for first in firsts:
        assert read_from(tmp_path, first, 1)[0].seq == first
        assert segment_path(tmp_path, first).stat().st_size <= 2000
    segment_path(tmp_path, firsts[0]).unlink()  # sync removes what it has uploaded
    assert read_from(tmp_path, 1, 1)[0].seq == firsts[1]
    assert fill(tmp_path, 1, segment_bytes=2000) == [201]


@given(start=st.integers(1, 130), limit=st.integers(1, 40))
@settings(max_examples=30, deadline=None)
def test_reading_from_anywhere(tmp_path_factory, start, limit):
    directory = tmp_path_factory.mktemp("log")
    fill(directory, 120, segment_bytes=1000)
    expected = list(range(start, 121))[:limit]
    assert [record.seq for record in read_from(directory, start, limit)] == expected


def test_reading_a_log_that_does_not_exist_yet(tmp_path):
    assert read_from(tmp_path / "log", 1, 10) == []


@given(cut=st.integers(0, 400))
@settings(max_examples=60, deadline=None)
def test_a_torn_tail_is_cut_and_its_numbers_are_not_given_out_again(tmp_path_factory, cut):
    directory = tmp_path_factory.mktemp("log")
    fill(directory, 5)
    path = segment_path(directory, 1)
    data = path.read_bytes()
    whole = len(MAGIC)
    kept = 0
    for seq in range(1, 6):
        end = whole + len(encode_frame(seq, line(seq)))
        if end > len(data) - min(cut, len(data)):
            break
        whole, kept = end, seq
    path.write_bytes(data[: len(data) - min(cut, len(data))])
    torn = path.stat().st_size > whole
    (number,) = fill(directory, 1)
    assert number == kept + 1 if not torn else number > kept + 1
    assert [record.seq for record in read_from(directory, 1, 10)] == [*range(1, kept + 1), number]


@given(position=st.integers(len(MAGIC), 2000), flip=st.integers(1, 255))
@settings(max_examples=60, deadline=None)
def test_damage_costs_only_the_records_it_hits(tmp_path_factory, position, flip):
    directory = tmp_path_factory.mktemp("log")
    fill(directory, 40)
    path = segment_path(directory, 1)
    data = bytearray(path.read_bytes())
    position = min(position, len(data) - 1)
    data[position] ^= flip
    path.write_bytes(data)
    ends, end = {}, len(MAGIC)
    for seq in range(1, 41):
        end += len(encode_frame(seq, line(seq)))
        ends[seq] = end
    hit = next(seq for seq in ends if position < ends[seq])
    survivors = [seq for seq in range(1, 41) if seq != hit]
    assert [record.seq for record in read_from(directory, 1, 100)] == survivors
    (number,) = fill(directory, 1)
    assert number > 40
    assert [record.seq for record in read_from(directory, 1, 100)] == [*survivors, number]


def test_a_damaged_segment_is_fenced(tmp_path):
    fill(tmp_path, 10)
    path = segment_path(tmp_path, 1)
    data = bytearray(path.read_bytes())
    data[60] ^= 1
    path.write_bytes(data)
    log = PredictionLog(tmp_path, HERE)
    assert log.status().damaged > 0
    assert log.append(line) == 11
    log.close()
    assert segment_firsts(tmp_path) == [1, 11]
    assert path.read_bytes() == bytes(data)


def test_after_a_reboot_lost_numbers_are_not_given_out_again(tmp_path):
    fill(tmp_path, 3)
    log = PredictionLog(tmp_path, LogIdentity("epoch", rebooted=True))
    assert log.append(line) == 4 + POWER_CUT_SKIP
    log.close()
    assert segment_firsts(tmp_path) == [1, 4 + POWER_CUT_SKIP]


def start(state, boot, appends=0):
    log = open_log(state, boot)
    numbers = [log.append(line) for _ in range(appends)]
    log.close()
    return log.epoch, numbers


def test_the_skip_outlives_a_start_that_appends_nothing(tmp_path):
    epoch, _ = start(tmp_path, "boot-1", appends=3)
    assert start(tmp_path, "boot-2") == (epoch, [])
    assert start(tmp_path, "boot-2", appends=1) == (epoch, [4 + POWER_CUT_SKIP])
    assert [record.seq for record in read_from(tmp_path / "log", 1, 10)] == [1, 2, 3, 4 + POWER_CUT_SKIP]


def test_a_boot_is_not_noted_before_its_skip_is_durable(tmp_path, monkeypatch):
    epoch, _ = start(tmp_path, "boot-1", appends=3)
    monkeypatch.setattr(log_module, "RESERVED_BYTES", 1 << 62)
    assert start(tmp_path, "boot-2") == (epoch, [])
    monkeypatch.undo()
    (number,) = start(tmp_path, "boot-2", appends=1)[1]
    assert number >= 4 + POWER_CUT_SKIP


@pytest.mark.parametrize("lose", [shutil.rmtree, lambda log: [path.unlink() for path in log.iterdir()]])
def test_a_log_that_lost_its_segments_is_another_log(tmp_path, lose):
    epoch, _ = start(tmp_path, "boot-1", appends=3)
    lose(tmp_path / "log")
    other, numbers = start(tmp_path, "boot-1", appends=1)
    assert (other != epoch, numbers) == (True, [1])
    assert start(tmp_path, "boot-1", appends=1) == (other, [2])


def test_identity_lives_as_long_as_the_disk(tmp_path):
    path = tmp_path / "node.json"
    first = load_identity(path, "boot-1")
    assert not first.rebooted
    assert load_identity(path, "boot-1") == first
    for _ in range(2):
        assert load_identity(path, "boot-2") == LogIdentity(first.epoch, rebooted=True)
    note_boot(path, first.epoch, "boot-2")
    assert load_identity(path, "boot-2") == first
    path.write_text("{torn")
    assert load_identity(path, "boot-2").epoch != first.epoch


def failing(call, *, error, times):
    state = {"left": times}

    def instead(*args):
        if state["left"]:
            state["left"] -= 1
            raise OSError(error, os.strerror(error))
        return call(*args)

    return instead


def test_a_failed_sync_moves_what_is_not_durable_to_another_segment(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path, HERE)
    for _ in range(3):
        log.append(line)
    log.sync()
    synced_by = []
    real = os.fdatasync

    def recording(descriptor):
        synced_by.append(os.fstat(descriptor).st_ino)
        if len(synced_by) == 1:
            raise OSError(errno.EIO, "the disk is sick")
        real(descriptor)

    monkeypatch.setattr(log_module.os, "fdatasync", recording)
    log.append(line)
    log.append(line)
    log.close()
    assert segment_firsts(tmp_path) == [1, 4]
    assert synced_by.count(synced_by[0]) == 1, "the failed file was synced again"
    assert [record.seq for record in read_from(tmp_path, 1, 10)] == [1, 2, 3, 4, 5]
    assert log.status().failed_syncs == 1
    assert fill(tmp_path, 1) == [6]


def test_a_full_disk_drops_records_and_heals(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path, HERE)
    assert log.append(line) == 1
    real = os.write
    monkeypatch.setattr(log_module.os, "write", failing(real, error=errno.ENOSPC, times=2))
    assert log.append(line) is None
    assert log.append(line) is None
    assert log.append(line) == 2
    assert log.status().dropped == 2
    log.close()
    assert [record.seq for record in read_from(tmp_path, 1, 10)] == [1, 2]


def test_a_part_of_a_record_is_taken_back(tmp_path, monkeypatch):
    log = PredictionLog(tmp_path, HERE)
    log.append(line)
    real = os.write
    monkeypatch.setattr(log_module.os, "write", lambda descriptor, data: real(descriptor, data[:7]))
    assert log.append(line) is None
    monkeypatch.undo()
    assert log.append(line) == 2
    log.close()
    assert [record.seq for record in read_from(tmp_path, 1, 10)] == [1, 2]


def test_the_log_leaves_room_on_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr(log_module, "RESERVED_BYTES", 1 << 62)
    log = PredictionLog(tmp_path, HERE)
    assert log.append(line) is None
    assert log.status().dropped == 1
    log.close()


def test_a_record_that_is_too_long_is_an_error_of_the_caller(tmp_path):
    log = PredictionLog(tmp_path, HERE)
    with pytest.raises(ValueError, match="longer"):
        log.append(lambda _: b"x" * (MAX_PAYLOAD + 1))
    assert log.append(line) == 1
    log.close()
