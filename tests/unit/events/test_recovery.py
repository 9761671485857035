"""What is left after a crash, and what is made of it."""

import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from skerry_edge.events import log as log_module
from skerry_edge.events.holes import Hole, HoleReason
from skerry_edge.events.identity import POWER_CUT_SKIP
from skerry_edge.events.mark import read_mark
from skerry_edge.events.reader import LogReader
from skerry_edge.events.segment import BLOCKS_AT, salt_of, scan, segment_firsts, segment_path
from tests.unit.events.parts import Machine, all_records, blocks, body, die, record, records, seqs


@pytest.fixture
def unsynced(monkeypatch):
    """Have nothing synced by itself."""
    monkeypatch.setattr(log_module, "SYNC_DELAY", 0.5)


def fill(machine, count, start=1):
    log = machine.start()
    blocks(log, ([number] for number in range(start, start + count)))
    log.close()


def block_ends(folder, base=1):
    """Offsets behind each block."""
    epoch = LogReader(folder).identity.epoch
    with segment_path(folder, base).open("rb") as file:
        return [part.end for part in scan(file.fileno(), salt_of(epoch, base))]


@pytest.mark.slow
def test_a_killed_process_loses_nothing_that_was_written(machine, unsynced):
    log = machine.start()
    log.append(records(2))
    assert [log.append_soon(record) for _ in range(3)] == [3, 4, 5]
    die(log)
    assert seqs(machine.folder) == [1, 2]
    log = machine.start()
    assert [(each.seq, each.body) for each in all_records(machine.folder)] == [
        (number, body(number)) for number in range(1, 6)
    ]
    assert log.append([record(6)]) == range(6, 7)


@pytest.mark.slow
def test_what_was_not_synced_is_written_anew_and_not_synced_in_place(machine, unsynced, sync):
    log = machine.start()
    log.append(records(2))
    log.append_soon(record)
    die(log)
    inode = segment_path(machine.folder, 1).stat().st_ino
    synced = len(sync.synced)
    machine.start()
    assert inode not in sync.synced[synced:]
    assert segment_firsts(machine.folder) == [1, 3]
    assert seqs(machine.folder) == [1, 2, 3]


def test_without_a_mark_the_whole_segment_is_written_anew(machine):
    fill(machine, 5)
    (machine.folder / "durable").unlink()
    inode = segment_path(machine.folder, 1).stat().st_ino
    assert seqs(machine.folder) == []
    log = machine.start()
    assert segment_path(machine.folder, 1).stat().st_ino != inode
    assert seqs(machine.folder) == [1, 2, 3, 4, 5]
    assert log.append([record(6)]) == range(6, 7)
    assert log.status().damaged == 0


@pytest.mark.slow
@given(cut=st.integers(0, 1500), garbage=st.sampled_from([b"", b"\0" * 50, b"x", b"\xf5SKB" * 9]))
@settings(max_examples=60, deadline=None)
def test_a_torn_tail_is_cut_and_its_numbers_are_not_given_out_again(tmp_path_factory, cut, garbage):
    """After a reboot whose mark is gone: nothing but the bytes tells what is whole."""
    machine = Machine(tmp_path_factory.mktemp("log"))
    fill(machine, 6)
    ends = block_ends(machine.folder)
    path = segment_path(machine.folder, 1)
    whole = path.read_bytes()
    data = whole[: max(ends[-1] - cut, BLOCKS_AT)] + garbage + bytes(1000)
    path.write_bytes(data)
    (machine.folder / "durable").unlink()
    # Zeros that were lost and are zeros again cost nothing.
    kept = sum(data[:end] == whole[:end] for end in ends)
    machine.reboot()
    log = machine.start()
    (given,) = log.append([record(100)])
    assert given >= 7 + POWER_CUT_SKIP - 6
    assert given > kept + POWER_CUT_SKIP - 1
    log.close()
    assert seqs(machine.folder) == [*range(1, kept + 1), given]
    assert all(hole.reason is HoleReason.SKIPPED for hole in LogReader(machine.folder).holes(1, given))
    machine.start()
    machine.logs.verify()
    assert machine.logs.status()["vitals"].damaged == 0


def test_a_torn_tail_of_a_killed_process_is_cut_in_place(machine):
    fill(machine, 3)
    end = block_ends(machine.folder)[-1]
    path = segment_path(machine.folder, 1)
    with path.open("r+b") as file:
        file.seek(end)
        file.write(b"\xf5SKB torn")
    log = machine.start()
    assert log.status().torn == 9
    assert path.stat().st_size == end
    (given,) = log.append([record(9)])
    assert given > 4
    assert seqs(machine.folder) == [1, 2, 3, given]
    assert LogReader(machine.folder).holes(1, given) == (Hole(4, given - 1, HoleReason.SKIPPED),)


@pytest.mark.slow
@given(position=st.integers(0, 6000), flip=st.integers(1, 255), rebooted=st.booleans())
@settings(max_examples=80, deadline=None)
def test_damage_costs_only_the_block_it_hits(tmp_path_factory, position, flip, rebooted):
    machine = Machine(tmp_path_factory.mktemp("log"))
    fill(machine, 40)
    ends = block_ends(machine.folder)
    path = segment_path(machine.folder, 1)
    data = bytearray(path.read_bytes())
    position %= ends[-1]
    data[position] ^= flip
    path.write_bytes(data)
    hit = None if position < BLOCKS_AT else 1 + sum(end <= position for end in ends)
    survivors = [seq for seq in range(1, 41) if seq != hit]
    if rebooted:
        machine.reboot()
    log = machine.start()
    status = log.status()
    assert status.damaged > 0
    assert status.damaged_ranges == (((hit, hit),) if hit is not None else ())
    (given,) = log.append([record(99)])
    assert given > 40
    assert segment_firsts(machine.folder)[0] == 1
    assert path.read_bytes() == bytes(data), "a damaged segment was written to"
    assert [(each.seq, each.body) for each in all_records(machine.folder)] == [
        *((seq, body(seq)) for seq in survivors),
        (given, body(99)),
    ]
    lost = [hole for hole in LogReader(machine.folder).holes(1, given) if hole.reason is HoleReason.DAMAGED]
    assert lost == ([Hole(hit, hit, HoleReason.DAMAGED)] if hit is not None else [])
    log.close()


def test_what_the_mark_calls_durable_and_reads_as_zeros_is_damage(machine):
    fill(machine, 10)
    ends = block_ends(machine.folder)
    path = segment_path(machine.folder, 1)
    data = path.read_bytes()
    path.write_bytes(data[: ends[6]] + bytes(len(data) - ends[6]))
    log = machine.start()
    assert (log.status().damaged, log.status().damaged_ranges) == (ends[-1] - ends[6], ((8, 10),))
    assert log.append([record(11)]) == range(11, 12)
    assert segment_firsts(machine.folder) == [1, 11]
    assert LogReader(machine.folder).holes(1, 11) == (Hole(8, 10, HoleReason.DAMAGED),)


@pytest.mark.parametrize("rebooted", [False, True])
def test_a_segment_of_which_nothing_can_be_read_is_fenced(machine, rebooted):
    fill(machine, 10)
    path = segment_path(machine.folder, 1)
    path.write_bytes(b"x" * 5000)
    if rebooted:
        (machine.folder / "durable").unlink()
        machine.reboot()
    log = machine.start()
    (given,) = log.append([record(11)])
    assert given > 10
    assert path.read_bytes() == b"x" * 5000
    assert seqs(machine.folder) == [given]
    assert log.status().damaged >= 5000 - BLOCKS_AT
    assert {hole.reason for hole in LogReader(machine.folder).holes(1, 10)} == {HoleReason.DAMAGED}


def test_damage_in_closed_segments_is_found_by_checking(machine):
    machine.segment_bytes = 1500
    fill(machine, 60)
    first, second, *_ = segment_firsts(machine.folder)
    ends = block_ends(machine.folder, second)
    path = segment_path(machine.folder, second)
    data = bytearray(path.read_bytes())
    data[ends[0] + 40] ^= 1
    path.write_bytes(data)
    log = machine.start()
    assert log.status().damaged == 0
    machine.logs.verify()
    status = log.status()
    assert status.damaged == ends[1] - ends[0]
    assert status.damaged_ranges == ((second + 1, second + 1),)
    assert seqs(machine.folder) == [seq for seq in range(first, 61) if seq != second + 1]


@pytest.mark.parametrize("how", ["cut", "gone", "foreign"])
def test_a_closed_segment_that_lost_its_end_is_damage(machine, how):
    machine.segment_bytes = 1500
    fill(machine, 60)
    _, second, third, *_ = segment_firsts(machine.folder)
    path = segment_path(machine.folder, second)
    ends = block_ends(machine.folder, second)
    kept = []
    if how == "cut":
        path.write_bytes(path.read_bytes()[: ends[1]])
        kept = [second, second + 1]
    elif how == "gone":
        path.unlink()
    else:
        path.write_bytes(segment_path(machine.folder, third).read_bytes())
    expected = [*range(1, second), *kept, *range(third, 61)]
    assert seqs(machine.folder) == expected
    lost = Hole(second + len(kept), third - 1, HoleReason.DAMAGED)
    assert LogReader(machine.folder).holes(1, 60) == (lost,)


def test_after_a_reboot_numbers_that_may_be_lost_are_not_given_out_again(machine):
    fill(machine, 3)
    machine.reboot()
    log = machine.start()
    assert log.append_soon(record) == 4 + POWER_CUT_SKIP
    log.close()
    assert segment_firsts(machine.folder) == [1, 4]
    assert LogReader(machine.folder).holes(1, 4 + POWER_CUT_SKIP) == (Hole(4, 3 + POWER_CUT_SKIP, HoleReason.SKIPPED),)


def test_the_skip_outlives_a_start_that_appends_nothing(machine):
    fill(machine, 3)
    machine.reboot()
    machine.start().close()
    log = machine.start()
    assert log.append([record(4)]) == range(4 + POWER_CUT_SKIP, 5 + POWER_CUT_SKIP)
    assert seqs(machine.folder) == [1, 2, 3, 4 + POWER_CUT_SKIP]


def test_a_boot_is_not_noted_before_its_skip_is_durable(machine, monkeypatch):
    fill(machine, 3)
    machine.reboot()

    def full(*_):
        raise OSError(28, "no space")

    with monkeypatch.context() as patch:
        patch.setattr("skerry_edge.events.active.fsync_directory", full)
        machine.start().close()
    (given,) = machine.start().append([record(4)])
    assert given >= 4 + POWER_CUT_SKIP


def test_what_a_kill_left_beside_the_segments_is_removed(machine):
    fill(machine, 3)
    leftover = segment_path(machine.folder, 4).with_suffix(".tmp")
    leftover.write_bytes(b"half")
    machine.start()
    assert not leftover.exists()


def test_the_mark_is_of_its_epoch(machine, tmp_path):
    fill(machine, 3)
    epoch = LogReader(machine.folder).identity.epoch
    assert read_mark(machine.folder, epoch).next_seq == 4
    assert read_mark(machine.folder, "0" * 16) is None
    shutil.copy(machine.folder / "durable", tmp_path / "durable")
    assert read_mark(tmp_path, epoch) is not None


def hurt(machine, base, block):
    """Flip a bit in a segment's block; that block's bytes."""
    start, end = [BLOCKS_AT, *block_ends(machine.folder, base)][block : block + 2]
    path = segment_path(machine.folder, base)
    data = bytearray(path.read_bytes())
    data[start + 40] ^= 1
    path.write_bytes(data)
    return end - start


def test_damage_counts_once_however_often_it_is_found(machine):
    """By who recovers the log, by who checks it once it is closed, and by whatever process comes after them."""
    fill(machine, 10)
    lost = hurt(machine, 1, 3)
    log = machine.start()
    for number in (11, 12):
        log.append([record(number)])
    log.roll()
    for _ in range(2):
        assert (log.status().damaged, log.status().damaged_ranges) == (lost, ((4, 4),))
        machine.logs.verify()
    machine.logs.close()
    log = machine.start()
    assert log.status().damaged == lost
    machine.logs.verify()
    assert (log.status().damaged, log.status().damaged_ranges) == (lost, ((4, 4),))
    # More of it does count, and what goes with its segment stays counted.
    lost += hurt(machine, 1, 5)
    machine.logs.verify()
    assert log.status().damaged == lost
    segment_path(machine.folder, 1).unlink()
    lost += hurt(machine, 11, 0)
    machine.logs.verify()
    machine.logs.close()
    assert machine.start().status().damaged == lost


def test_damage_counts_where_it_cannot_be_noted(machine, monkeypatch):
    fill(machine, 10)
    lost = hurt(machine, 1, 3)

    def failing(*_):
        raise OSError(28, "no room")

    monkeypatch.setattr(log_module, "write_identity", failing)
    log = machine.start()
    machine.logs.verify()
    assert log.status().damaged == lost
    log.append([record(11)])
