"""One stream's log as its writer sees it."""

import errno
import os
import threading
from dataclasses import replace
from datetime import timedelta

import pytest

from skerry_core.batch.flags import Flags
from skerry_edge.events import admission, tail
from skerry_edge.events import log as log_module
from skerry_edge.events.holes import Hole, HoleReason
from skerry_edge.events.reader import LogReader
from skerry_edge.events.record import MAX_BODY, NewRecord
from skerry_edge.events.segment import BLOCKS_AT, segment_firsts, segment_path
from skerry_edge.events.settings import LogFailedError, LogFullError
from tests.unit.events.parts import NOW, SETTINGS, Machine, all_records, body, die, record, records, seqs


def test_what_is_appended_is_read_back(machine):
    log = machine.start()
    assert log.append(records(3)) == range(1, 4)
    assert log.append([NewRecord(b"{}", 7, 9, Flags.TIME_SKEWED | Flags.CLOCK_SUSPECT)]) == range(4, 5)
    found = all_records(machine.folder)
    assert [(each.seq, each.body) for each in found] == [(1, body(1)), (2, body(2)), (3, body(3)), (4, b"{}")]
    assert (found[0].time, found[0].received) == (NOW + 1, NOW + 6)
    assert found[3].flags == Flags.TIME_SKEWED | Flags.CLOCK_SUSPECT
    hlcs = [each.hlc for each in found]
    assert hlcs == sorted(set(hlcs))
    assert hlcs[0] >> 16 == NOW // 1000


def test_nothing_appended_is_no_record(machine):
    log = machine.start()
    assert list(log.append([])) == []
    log.append(records(1))
    assert seqs(machine.folder) == [1]


def test_an_append_is_synced_before_it_returns(machine, sync):
    log = machine.start()
    log.append(records(2))
    (inode,) = sync.synced
    assert inode == segment_path(machine.folder, 1).stat().st_ino
    log.append(records(100, 3))
    assert len(sync.synced) == 2


def test_those_who_wait_share_a_sync(machine, sync, monkeypatch):
    log = machine.start()
    inside, go_on = threading.Event(), threading.Event()
    real = sync._real

    def slow(descriptor):
        inside.set()
        assert go_on.wait(10)
        real(descriptor)

    sync._real = slow
    numbers = []
    threads = [
        threading.Thread(target=lambda start=start: numbers.append(log.append(records(3, start)))) for start in range(8)
    ]
    threads[0].start()
    assert inside.wait(10)
    for thread in threads[1:]:
        thread.start()
    while len(log._queue) < 7:
        pass
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(sync.synced) == 2
    assert sorted(seq for given in numbers for seq in given) == list(range(1, 25))
    assert all(len(given) == 3 for given in numbers)
    (first, second) = LogReader(machine.folder).read(1, 100)
    assert (len(first), len(second)) == (3, 21)


def test_many_threads_lose_and_double_nothing(machine):
    machine.segment_bytes = 4000
    log = machine.start()
    given = {}

    def work(worker):
        for number in range(40):
            text = b'{"worker":%d,"n":%d}' % (worker, number)
            if number % 5 == 0:
                given[log.append_soon(lambda _, text=text: NewRecord(text, 1, 2))] = text
            else:
                (seq,) = log.append([NewRecord(text, 1, 2)])
                given[seq] = text

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.sync()
    assert {each.seq: each.body for each in all_records(machine.folder)} == given
    assert sorted(given) == list(range(1, 241))


def test_soon_means_written_now_and_durable_after_the_sync(machine, sync):
    log = machine.start()
    assert log.append_soon(record) == 1
    assert body(1) in segment_path(machine.folder, 1).read_bytes()
    log.sync()
    assert sync.synced
    assert seqs(machine.folder) == [1]


def test_soon_is_synced_by_itself(machine):
    log = machine.start()
    log.append_soon(record)
    while not seqs(machine.folder):
        pass
    assert seqs(machine.folder) == [1]


def test_a_reader_sees_nothing_that_a_power_cut_could_take(machine, monkeypatch):
    monkeypatch.setattr(log_module, "SYNC_DELAY", 0.2)
    log = machine.start()
    log.append(records(1))
    log.append_soon(record)
    assert seqs(machine.folder) == [1]
    log.sync()
    assert seqs(machine.folder) == [1, 2]


def test_segments_are_named_by_their_first_number_and_cut_when_closed(machine):
    machine.segment_bytes = 2000
    log = machine.start()
    for number in range(1, 101):
        log.append([record(number)])
    firsts = segment_firsts(machine.folder)
    assert len(firsts) > 4
    for first in firsts:
        assert seqs(machine.folder, first)[0] == first
    for first in firsts[:-1]:
        assert segment_path(machine.folder, first).stat().st_size <= 2000
    assert seqs(machine.folder) == list(range(1, 101))


def test_what_is_allocated_is_really_written(machine):
    log = machine.start()
    log.append(records(1))
    path = segment_path(machine.folder, 1)
    size = path.stat().st_size
    assert size >= 64 << 10
    assert path.stat().st_blocks * 512 >= size
    for number in range(2, 100):
        log.append([record(number)])
    assert path.stat().st_size == size


def test_an_append_larger_than_a_segment_has_one_of_its_own(machine):
    machine.segment_bytes = 1000
    log = machine.start()
    assert log.append(records(1)) == range(1, 2)
    assert log.append(records(200, 2)) == range(2, 202)
    assert log.append(records(1, 202)) == range(202, 203)
    assert segment_firsts(machine.folder) == [1, 2, 202]
    assert seqs(machine.folder) == list(range(1, 203))


def test_a_large_append_is_several_blocks(machine):
    log = machine.start()
    log.append([NewRecord(bytes([65 + number]) * MAX_BODY, 1, 2) for number in range(20)] + records(20_000, 21))
    batches = LogReader(machine.folder).read(1, 100_000, 1 << 30)
    assert len(batches) > 2
    assert [each.seq for batch in batches for each in batch.records()] == list(range(1, 20_021))


@pytest.mark.parametrize("wrong", [[NewRecord(b"x" * (MAX_BODY + 1), 1, 2)], [NewRecord(b"x" * MAX_BODY, 1, 2)] * 65])
def test_too_much_at_once_is_an_error_of_the_caller(machine, wrong):
    log = machine.start()
    with pytest.raises(ValueError, match="bytes"):
        log.append(wrong)
    assert log.append(records(1)) == range(1, 2)


def test_numbers_and_times_go_on_after_a_restart(machine):
    log = machine.start()
    log.append(records(3))
    log.close()
    machine.wall -= 10**18
    log = machine.start()
    assert log.append(records(2, 4)) == range(4, 6)
    assert segment_firsts(machine.folder) == [1]
    hlcs = [each.hlc for each in all_records(machine.folder)]
    assert hlcs == sorted(set(hlcs))


def test_times_go_on_where_the_last_segment_is_empty(machine):
    log = machine.start()
    log.append(records(3))
    latest = all_records(machine.folder)[-1].hlc
    log.roll()
    log.close()
    machine.wall -= 10**18
    log = machine.start()
    log.append(records(1, 4))
    assert all_records(machine.folder)[-1].hlc > latest


# When the disk fails


def test_a_failed_sync_refuses_and_the_log_goes_on_elsewhere(machine, sync):
    log = machine.start()
    log.append(records(2))
    sync.failures = 1
    with pytest.raises(LogFailedError):
        log.append(records(3, 3))
    assert log.append([record(6)]) == range(6, 7)
    assert segment_firsts(machine.folder) == [1, 3]
    assert [(each.seq, each.body) for each in all_records(machine.folder)] == [
        (1, body(1)),
        (2, body(2)),
        (6, body(6)),
    ]
    assert LogReader(machine.folder).holes(1, 6) == (Hole(3, 5, HoleReason.SKIPPED),)
    assert log.status().failed_syncs == 1
    log.close()
    log = machine.start()
    assert log.append([record(7)]) == range(7, 8)
    assert seqs(machine.folder) == [1, 2, 6, 7]


def test_what_failed_never_comes_back(machine, sync):
    """Even where the old file holds it whole, and a process that knows nothing opens the folder."""
    log = machine.start()
    sync.failures = 1
    with pytest.raises(LogFailedError):
        log.append(records(3))
    die(log)
    log = machine.start()
    assert log.append([record(4)]) == range(4, 5)
    assert [each.body for each in all_records(machine.folder)] == [body(4)]


@pytest.mark.slow
def test_what_was_promised_is_written_anew_with_its_numbers(machine, sync, monkeypatch):
    monkeypatch.setattr(log_module, "SYNC_DELAY", 1.0)
    log = machine.start()
    log.append(records(2))
    assert [log.append_soon(record), log.append_soon(record)] == [3, 4]
    sync.failures = 1
    with pytest.raises(LogFailedError):
        log.append(records(1, 5))
    assert log.append_soon(record) == 6
    log.sync()
    assert [(each.seq, each.body) for each in all_records(machine.folder)] == [
        (number, body(number)) for number in (1, 2, 3, 4, 6)
    ]
    assert segment_firsts(machine.folder) == [1, 3]


def failing(call, error, times):
    state = {"left": times}

    def instead(*args):
        if state["left"]:
            state["left"] -= 1
            raise OSError(error, os.strerror(error))
        return call(*args)

    return instead


def test_no_new_segment_either(machine, sync, monkeypatch):
    monkeypatch.setattr(tail, "REOPEN_DELAY", 0.0)
    log = machine.start()
    log.append(records(2))
    sync.failures = 1
    monkeypatch.setattr(os, "fsync", failing(os.fsync, errno.EIO, 3))
    for _ in range(3):
        with pytest.raises(LogFailedError):
            log.append(records(1, 3))
    assert seqs(machine.folder) == [1, 2]
    assert segment_path(machine.folder, 1).read_bytes().count(b'{"n":3') == 0
    (seq,) = log.append(records(1, 9))
    assert seq > 2
    assert [each.body for each in all_records(machine.folder)] == [body(1), body(2), body(9)]


def test_the_disk_is_not_asked_again_at_once(machine, sync, monkeypatch):
    log = machine.start()
    asked = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: asked.append(descriptor) or failing(None, errno.EIO, 1)())
    sync.failures = 1
    for _ in range(5):
        with pytest.raises(LogFailedError):
            log.append(records(1))
    assert log.append_soon(record) is None
    assert len(asked) == 1
    assert log.status().dropped == 1


@pytest.mark.parametrize("written", [0, 7, 60])
def test_a_full_disk_refuses_and_heals(machine, monkeypatch, written):
    log = machine.start()
    log.append(records(1))
    real = os.pwritev

    def full(descriptor, parts, offset):
        if written:
            return real(descriptor, [bytes(parts[0])[:written]], offset)
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(os, "pwritev", full)
    monkeypatch.setattr(os, "pwrite", failing(os.pwrite, errno.ENOSPC, 2))
    with pytest.raises(LogFullError):
        log.append(records(2, 2))
    assert log.append_soon(record) is None
    monkeypatch.undo()
    assert log.append([record(9)]) == range(2, 3)
    assert [each.body for each in all_records(machine.folder)] == [body(1), body(9)]
    assert log.status().dropped == 1
    log.close()
    assert machine.start().status().torn == 0


def test_a_segment_that_cannot_be_cut_is_left(machine, monkeypatch):
    log = machine.start()
    log.append(records(1))
    monkeypatch.setattr(os, "pwritev", failing(os.pwritev, errno.EIO, 1))
    monkeypatch.setattr(os, "ftruncate", failing(os.ftruncate, errno.EIO, 1))
    with pytest.raises(LogFailedError):
        log.append(records(1, 2))
    assert log.append([record(9)]) == range(2, 3)
    assert segment_firsts(machine.folder) == [1, 2]
    assert [each.body for each in all_records(machine.folder)] == [body(1), body(9)]


def test_a_stream_at_its_limit_refuses_until_segments_go(machine):
    machine.segment_bytes = 2000
    log = machine.start(replace(SETTINGS, max_bytes=6000))
    count = 0
    while log.status().size < 5800:
        log.append([record(1)])
        count += 1
    with pytest.raises(LogFullError, match="limit is 6000"):
        log.append(records(10))
    assert log.append_soon(lambda seq: record(seq, pad=500)) is None
    status = log.status()
    assert (status.refused, status.dropped) == (10, 1)
    assert status.size <= 6000
    segment_path(machine.folder, segment_firsts(machine.folder)[0]).unlink()  # as sync does with what it has uploaded
    assert log.append([record(1)]) == range(count + 1, count + 2)
    assert machine.logs.open(replace(SETTINGS, max_bytes=1)) is log
    with pytest.raises(LogFullError):
        log.append(records(1))


def test_a_small_stream_has_closed_segments_to_make_room_with(machine):
    log = machine.start(replace(SETTINGS, max_bytes=1 << 20))
    while log.status().size < (1 << 20) - 11_000:
        log.append([record(1, pad=10_000)])
    firsts = segment_firsts(machine.folder)
    assert len(firsts) >= 8


def test_a_disk_that_fills_refuses_by_tier(machine, monkeypatch):
    monkeypatch.setattr(admission, "SHARE_BYTES", 1 << 50)
    monkeypatch.setattr(admission, "_SHARES_OF_A_SMALL_DISK", 1)
    log = machine.start()
    with pytest.raises(LogFullError, match="streams of tier 1 must leave"):
        log.append(records(1))
    assert log.append_soon(record) is None
    assert machine.logs.status()["vitals"].dropped == 1


def test_a_closed_log_refuses(machine):
    log = machine.start()
    log.append_soon(record)
    log.close()
    log.close()
    assert seqs(machine.folder) == [1]
    with pytest.raises(LogFailedError):
        log.append(records(1))
    assert log.append_soon(record) is None


def test_a_segment_spans_a_part_of_the_age(machine, monkeypatch):
    log = machine.start(replace(SETTINGS, max_age=timedelta(seconds=0.08)))
    log.append(records(1))
    started = tail.time.monotonic()
    while tail.time.monotonic() < started + 0.02:
        pass
    log.append(records(1, 2))
    assert segment_firsts(machine.folder) == [1, 2]


def test_status_tells_it_all(machine):
    log = machine.start()
    log.append(records(5))
    status = log.status()
    assert (status.name, status.epoch, status.first_seq, status.next_seq) == ("vitals", log.epoch, 1, 6)
    assert BLOCKS_AT < status.size < 1000
    assert machine.logs.status() == {"vitals": status}


@pytest.mark.parametrize("name", ["", "a/b", "..", "A", "a@b", "-a", "a" * 64, "a_b"])
def test_a_name_that_is_no_folder_of_its_own_is_refused(machine, name):
    machine.start()
    with pytest.raises(ValueError, match="no name"):
        machine.logs.open(replace(SETTINGS, name=name))


def test_streams_are_apart_and_share_one_clock(tmp_path):
    machine = Machine(tmp_path)
    one = machine.start()
    two = machine.logs.open(replace(SETTINGS, name="alarms", tier=0))
    one.append(records(1))
    two.append(records(1))
    one.append(records(1))
    assert one.epoch != two.epoch
    first, third = all_records(tmp_path / "vitals")
    (second,) = all_records(tmp_path / "alarms")
    assert first.hlc < second.hlc < third.hlc
    machine.logs.close()
